package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// cmdStats prints counters that only grow (apart from the resident memory), so
// that two outputs can be subtracted. Reading them costs the server some
// milliseconds and some 100 kB, which show up in the next reading.
func cmdStats(ctx context.Context, args []string) error {
	fs := newFlags("stats")
	kubeconfig := kubeconfigFlag(fs)
	dir := fs.String("dir", "", "also the CPU seconds of the processes whose pid files stand here")
	parse(fs, args)
	cfg, err := restConfig(*kubeconfig)
	if err != nil {
		return err
	}
	cfg.ContentConfig = rest.ContentConfig{}
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	text, err := k.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return err
	}

	out := map[string]any{"monotonic_ns": nowNS()}
	single := map[string]string{
		"process_cpu_seconds_total":     "cpu_seconds",
		"process_resident_memory_bytes": "resident_bytes",
		"go_gc_heap_allocs_bytes_total": "heap_allocated_bytes",
	}
	// metric -> its name in the output; summed over all labels but these two
	byResource := map[string]string{
		"apiserver_response_sizes_sum":     "response_bytes",
		"apiserver_response_sizes_count":   "responses",
		"apiserver_watch_events_sizes_sum": "watch_bytes",
		"apiserver_watch_events_total":     "watch_events",
		"apiserver_request_total":          "requests",
	}
	sums := map[string]map[string]float64{}
	for _, name := range byResource {
		sums[name] = map[string]float64{}
	}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		name, labels, v, ok := parseSample(sc.Text())
		if !ok {
			continue
		}
		if key := single[name]; key != "" {
			out[key] = v
		}
		if key := byResource[name]; key != "" {
			r := labels["resource"]
			if r == "" {
				r = labels["kind"] // older servers
			}
			if r == "" {
				r = "none"
			}
			if verb := labels["verb"]; verb != "" {
				r += "." + verb
			}
			sums[key][r] += v
			sums[key]["total"] += v
		}
	}
	for k, v := range sums {
		out[k] = v
	}
	if *dir != "" {
		procs, err := processStats(*dir)
		if err != nil {
			return err
		}
		out["processes"] = procs
	}
	printJSON(out)
	return sc.Err()
}

// parseSample reads one line of the Prometheus text format. Label values that
// hold quotes or commas do not occur in the metrics we look at.
func parseSample(line string) (name string, labels map[string]string, v float64, ok bool) {
	if line == "" || line[0] == '#' {
		return
	}
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return
	}
	v, err := strconv.ParseFloat(line[i+1:], 64)
	if err != nil {
		return
	}
	name = line[:i]
	if j := strings.IndexByte(name, '{'); j >= 0 && strings.HasSuffix(name, "}") {
		labels = map[string]string{}
		for _, kv := range strings.Split(name[j+1:len(name)-1], ",") {
			if k, val, found := strings.Cut(kv, "="); found {
				labels[k] = strings.Trim(val, `"`)
			}
		}
		name = name[:j]
	}
	return name, labels, v, true
}

func processStats(dir string) (map[string]any, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.pid"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	out := map[string]any{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		pid := strings.TrimSpace(string(b))
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue // ended
		}
		// the program's name may hold blanks; fields count from behind it
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 22 {
			return nil, fmt.Errorf("/proc/%s/stat: too short", pid)
		}
		user, _ := strconv.ParseFloat(fields[11], 64)
		system, _ := strconv.ParseFloat(fields[12], 64)
		pages, _ := strconv.ParseInt(fields[21], 10, 64)
		const hz = 100 // USER_HZ is part of the ABI
		out[strings.TrimSuffix(filepath.Base(f), ".pid")] = map[string]any{
			"user_seconds": user / hz, "system_seconds": system / hz,
			"resident_bytes": pages * int64(os.Getpagesize()),
		}
	}
	return out, nil
}
