// kbcluster drives a real API server for tests and benchmarks: it fills it,
// changes it at a given rate, reads its cost counters, and measures how long a
// change takes from the watch to a DNS answer.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

type command struct {
	name string
	help string
	run  func(ctx context.Context, args []string) error
}

var commands []command

func init() {
	commands = []command{
		{"gen", "create Services and EndpointSlices by the thousand, or write them to a file", cmdGen},
		{"load", "create every object of a snapshot List", cmdLoad},
		{"apply", "create or replace the JSON objects on stdin, status included", cmdApply},
		{"delete", "delete the JSON objects on stdin", cmdDelete},
		{"churn", "change EndpointSlices at a steady rate", cmdChurn},
		{"stats", "print the API server's cost counters as JSON", cmdStats},
		{"converge", "measure the time from a watch event to the DNS answer", cmdConverge},
		{"ask", "ask one DNS question, or wait until it is answered", cmdAsk},
	}
}

func main() {
	if len(os.Args) < 2 || os.Args[1] == "-h" || os.Args[1] == "--help" || os.Args[1] == "help" {
		usage(os.Stdout)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, c := range commands {
		if c.name != os.Args[1] {
			continue
		}
		if err := c.run(ctx, os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "kbcluster %s: %v\n", c.name, err)
			os.Exit(1)
		}
		return
	}
	usage(os.Stderr)
	os.Exit(2)
}

func usage(f *os.File) {
	fmt.Fprintln(f, "usage: kbcluster COMMAND [--help] [OPTIONS]")
	for _, c := range commands {
		fmt.Fprintf(f, "  %-10s %s\n", c.name, c.help)
	}
}

// parse refuses leftover words: a misspelt option must not pass unseen.
func parse(fs *flag.FlagSet, args []string) {
	_ = fs.Parse(args) // ExitOnError
	if fs.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "kbcluster %s: unexpected argument %q\n", fs.Name(), fs.Arg(0))
		os.Exit(2)
	}
}

func newFlags(name string) *flag.FlagSet {
	return flag.NewFlagSet(name, flag.ExitOnError)
}

func kubeconfigFlag(fs *flag.FlagSet) *string {
	return fs.String("kubeconfig", os.Getenv("KUBECONFIG"), "kubeconfig of the API server")
}

func restConfig(path string) (*rest.Config, error) {
	if path == "" {
		return nil, fmt.Errorf("--kubeconfig is missing")
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, err
	}
	cfg.UserAgent = "kbcluster"
	cfg.QPS = -1 // no client-side limit: the server is the one to push back
	return cfg, nil
}

// clients returns n clientsets with a connection each. One HTTP/2 connection
// serializes its writers, and the server's streams per connection are limited.
func clients(path string, n int) ([]kubernetes.Interface, error) {
	cfg, err := restConfig(path)
	if err != nil {
		return nil, err
	}
	// protobuf costs the server about a third of what JSON does
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	var cs []kubernetes.Interface
	for i := 0; i < n; i++ {
		c := rest.CopyConfig(cfg)
		// client-go shares the connection of equal configs, unless they
		// bring a transport of their own.
		tlsc, err := rest.TLSConfigFor(c)
		if err != nil {
			return nil, err
		}
		c.Transport = newTransport(tlsc)
		c.TLSClientConfig = rest.TLSClientConfig{}
		k, err := kubernetes.NewForConfig(c)
		if err != nil {
			return nil, err
		}
		cs = append(cs, k)
	}
	return cs, nil
}

// parallel runs f(worker, i) for every i in [0, n), and returns the first error
// after all workers have stopped.
func parallel(ctx context.Context, workers, n int, f func(ctx context.Context, w, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for w := 0; w < workers; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				if err := f(ctx, w, i); err != nil {
					cancel(err)
					return
				}
			}
		}()
	}
feed:
	for i := 0; i < n; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

func printJSON(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(b))
}

// nowNS reads CLOCK_MONOTONIC, so that our times compare with other programs'.
func nowNS() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

func round3(f float64) float64 {
	if f < 0 {
		return float64(int64(f*1000-0.5)) / 1000
	}
	return float64(int64(f*1000+0.5)) / 1000
}

func since(t time.Time) float64 { return round3(time.Since(t).Seconds()) }

// percentile takes the nearest rank: no figure is shown that was not measured.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(p/100*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

type distribution struct {
	Count int     `json:"count"`
	Min   float64 `json:"min"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

func distribute(v []float64) distribution {
	if len(v) == 0 {
		return distribution{}
	}
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	return distribution{len(s), s[0], percentile(s, 50), percentile(s, 90), percentile(s, 99), s[len(s)-1]}
}
