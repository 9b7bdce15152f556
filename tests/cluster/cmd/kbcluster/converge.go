package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"crypto/tls"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// What is measured, per change:
//
//	write ---> API server ---> raw watch: bytes read      t_watch
//	                      \--> DNS server's own watch
//	                              ... its table ...
//	poller: query, query, query -> first new answer       t_dns
//
//	latency = t_dns - t_watch
//
// Both times are taken by threads of their own in blocking system calls, from
// CLOCK_MONOTONIC, so the write's own 20 ms and Go's scheduler stay outside. The
// latency includes the answer's round trip and up to one poll interval. It can
// be negative: nothing says which watch the API server serves first.

type convergeOptions struct {
	kubeconfig, kind, namespace, name string
	dns, netns, qname, serviceCIDR    string
	etcd                              string
	changes                           int
	interval, timeout, poll           time.Duration
	backgroundRate                    float64
	watchAll, keep, quiet             bool
}

// sighting is one side's report of the value a change was to bring about.
type sighting struct {
	value string
	at    int64
	sent  int64 // poller: when the query that got the answer was sent
}

// absent is the value of a name that has no address any more.
const absent = "absent"

type convergence struct {
	o      *convergeOptions
	client kubernetes.Interface
	seen   chan sighting // from the raw watch
	answer chan sighting // from the poller
	errs   chan error
	want   atomic.Pointer[string] // what the poller looks for; nil: nothing
	stop   atomic.Bool
	// poller's counters
	queries, lost, wentBack, failures atomic.Int64
	wentBackTo                        atomic.Pointer[string]
}

type changeResult struct {
	N         int     `json:"n"`
	Op        string  `json:"op"`
	Value     string  `json:"value"`
	WatchNS   int64   `json:"watch_ns"`
	DNSNS     int64   `json:"dns_ns"`
	SentNS    int64   `json:"dns_sent_ns"`
	LatencyUS float64 `json:"latency_us"`
	WriteMS   float64 `json:"write_ms"`
	TimedOut  string  `json:"timed_out,omitempty"`
}

func cmdConverge(ctx context.Context, args []string) error {
	var o convergeOptions
	fs := newFlags("converge")
	kubeconfig := kubeconfigFlag(fs)
	fs.StringVar(&o.kind, "kind", "endpointslice", "endpointslice: change the one address of a headless Service; service: delete a Service and create it with another cluster IP")
	fs.StringVar(&o.namespace, "namespace", "default", "of the object to change")
	fs.StringVar(&o.name, "name", "kbc-converge", "of the object to change; made and removed here, so nobody else's")
	fs.StringVar(&o.dns, "dns", "", "DNS server, ADDR:PORT")
	fs.StringVar(&o.netns, "dns-netns", "", "ask from this network namespace")
	fs.StringVar(&o.qname, "qname", "", "default: NAME.NAMESPACE.svc.cluster.local.")
	fs.StringVar(&o.serviceCIDR, "service-cidr", "10.96.0.0/16", "for --kind service: its last 256 addresses are used")
	fs.IntVar(&o.changes, "changes", 100, "how many changes to measure")
	fs.DurationVar(&o.interval, "interval", 50*time.Millisecond, "mean pause between changes (varied by half)")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Second, "a change not seen by then counts as lost")
	fs.DurationVar(&o.poll, "poll", 50*time.Microsecond, "time from one query to the next")
	fs.Float64Var(&o.backgroundRate, "background-rate", 0, "changes of other EndpointSlices per second meanwhile")
	fs.BoolVar(&o.watchAll, "watch-all", false, "raw watch over the whole cluster instead of only the object")
	fs.BoolVar(&o.keep, "keep", false, "leave the objects there")
	fs.BoolVar(&o.quiet, "quiet", false, "only the summary and what timed out")
	etcd := etcdFlag(fs)
	parse(fs, args)
	o.kubeconfig, o.etcd = *kubeconfig, *etcd
	if o.kind != "endpointslice" && o.kind != "service" {
		return fmt.Errorf("--kind is endpointslice or service")
	}
	if o.qname == "" {
		o.qname = o.name + "." + o.namespace + ".svc.cluster.local."
	}
	dst, err := netip.ParseAddrPort(o.dns)
	if err != nil {
		return fmt.Errorf("--dns: %w", err)
	}
	cs, err := clients(o.kubeconfig, 1)
	if err != nil {
		return err
	}
	// A collection would stop the world and with it our clocks.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(512 << 20)
	// Threads come back from system calls without waiting for one of Go's
	// processors; the kernel's scheduler decides alone.
	runtime.GOMAXPROCS(max(8, runtime.NumCPU()))

	c := &convergence{
		o: &o, client: cs[0],
		seen: make(chan sighting, 4096), answer: make(chan sighting, 4096), errs: make(chan error, 4),
	}
	return c.run(ctx, dst)
}

func (c *convergence) run(ctx context.Context, dst netip.AddrPort) error {
	if err := c.setUp(ctx); err != nil {
		return err
	}
	if !c.o.keep {
		defer c.tearDown()
	}
	if err := c.startWatch(); err != nil {
		return fmt.Errorf("raw watch: %w", err)
	}
	query, err := packQuery(c.o.qname, "A")
	if err != nil {
		return err
	}
	ready := make(chan error)
	go c.poll(dst, query, ready)
	if err := <-ready; err != nil {
		return err
	}
	defer c.stop.Store(true)

	background, err := c.startBackground(ctx)
	if err != nil {
		return err
	}
	results, err := c.changeAll(ctx)
	rate := background()
	if err != nil {
		return err
	}
	c.summarize(results, rate)
	for _, r := range results {
		if r.TimedOut != "" {
			return errors.New("not every change was seen in time")
		}
	}
	return nil
}

func (c *convergence) changeAll(ctx context.Context) ([]changeResult, error) {
	var results []changeResult
	// The first changes warm up connections on all sides and are not counted.
	const warm = 3
	base := rand.Intn(1 << 16)
	lost := 0 // in a row
	for n := -warm; n < c.o.changes; n++ {
		var steps []func() (op, value string, err error)
		switch c.o.kind {
		case "endpointslice":
			// a range neither gen nor churn uses; each address once
			i := (base + n + warm) & 0xffff
			ip := fmt.Sprintf("10.127.%d.%d", i>>8, i&0xff)
			steps = append(steps, func() (string, string, error) { return "update", ip, c.setAddress(ctx, ip) })
		case "service":
			ip, err := c.clusterIP(base + n + warm)
			if err != nil {
				return nil, err
			}
			steps = append(steps,
				func() (string, string, error) { return "delete", absent, c.deleteService(ctx) },
				func() (string, string, error) { return "create", ip, c.createService(ctx, ip) })
		}
		for _, step := range steps {
			pause := c.o.interval/2 + time.Duration(rand.Int63n(int64(c.o.interval)+1))
			select {
			case <-time.After(pause):
			case err := <-c.errs:
				return nil, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			r, err := c.measure(ctx, n, step)
			if err != nil {
				return nil, err
			}
			if n < 0 {
				continue
			}
			if lost++; r.TimedOut == "" {
				lost = 0
			}
			results = append(results, r)
			if !c.o.quiet || r.TimedOut != "" {
				printJSON(r)
			}
			// A side that lags for longer than we wait never catches up.
			if lost == 3 {
				return results, nil
			}
		}
	}
	return results, nil
}

func (c *convergence) measure(ctx context.Context, n int, step func() (string, string, error)) (changeResult, error) {
	r := changeResult{N: n}
	type written struct {
		op, value string
		err       error
		took      time.Duration
	}
	done := make(chan written, 1)
	go func() {
		t := time.Now()
		op, value, err := step()
		done <- written{op, value, err, time.Since(t)}
	}()
	var w *written
	var seen, answer *sighting
	timeout := time.After(c.o.timeout)
	for w == nil || seen == nil || answer == nil {
		select {
		case x := <-done:
			if x.err != nil {
				return r, x.err
			}
			w = &x
		case s := <-c.seen:
			if want := c.want.Load(); want != nil && s.value == *want && seen == nil {
				seen = &s
			}
		case s := <-c.answer:
			if want := c.want.Load(); want != nil && s.value == *want {
				answer = &s
			}
		case err := <-c.errs:
			return r, err
		case <-ctx.Done():
			return r, ctx.Err()
		case <-timeout:
			if w == nil {
				return r, errors.New("the API server took too long")
			}
			if seen == nil {
				r.TimedOut = "watch"
			}
			if answer == nil {
				r.TimedOut = strings.TrimPrefix(r.TimedOut+",dns", ",")
			}
			r.Op, r.Value, r.WriteMS = w.op, w.value, float64(w.took.Microseconds())/1000
			return r, nil
		}
	}
	r.Op, r.Value, r.WriteMS = w.op, w.value, float64(w.took.Microseconds())/1000
	r.WatchNS, r.DNSNS, r.SentNS = seen.at, answer.at, answer.sent
	r.LatencyUS = float64(answer.at-seen.at) / 1000
	return r, nil
}

func (c *convergence) summarize(results []changeResult, rate float64) {
	lat := map[string][]float64{}
	var all, write []float64
	timeouts := 0
	for _, r := range results {
		write = append(write, r.WriteMS)
		if r.TimedOut != "" {
			timeouts++
			continue
		}
		all = append(all, r.LatencyUS)
		lat[r.Op] = append(lat[r.Op], r.LatencyUS)
	}
	out := map[string]any{
		"summary": true, "kind": c.o.kind, "changes": len(results), "timeouts": timeouts,
		"latency_us": distribute(all), "write_ms": distribute(write),
		"poll_us": c.o.poll.Microseconds(), "queries": c.queries.Load(), "queries_lost": c.lost.Load(),
		"queries_failed": c.failures.Load(),
		// answers that showed the old value after the new one had been seen
		"went_back": c.wentBack.Load(),
	}
	if w := c.wentBackTo.Load(); w != nil {
		out["went_back_last"] = *w
	}
	if len(lat) > 1 {
		by := map[string]distribution{}
		for op, v := range lat {
			by[op] = distribute(v)
		}
		out["latency_us_by_op"] = by
	}
	if c.o.backgroundRate > 0 {
		out["background_rate_asked"], out["background_rate"] = c.o.backgroundRate, rate
	}
	printJSON(out)
}

/* ---- the objects ---- */

func (c *convergence) setUp(ctx context.Context) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.o.namespace}}
	_, err := c.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	c.tearDown()
	if c.o.kind == "service" {
		ip, err := c.clusterIP(-1)
		if err != nil {
			return err
		}
		c.want.Store(nil)
		return c.createService(ctx, ip)
	}
	s := c.service()
	s.Spec.ClusterIP = corev1.ClusterIPNone
	if _, err := c.client.CoreV1().Services(c.o.namespace).Create(ctx, s, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err = c.client.DiscoveryV1().EndpointSlices(c.o.namespace).Create(ctx, c.slice("10.127.255.254"), metav1.CreateOptions{})
	return err
}

func (c *convergence) tearDown() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = c.client.DiscoveryV1().EndpointSlices(c.o.namespace).Delete(ctx, c.o.name, metav1.DeleteOptions{})
	_ = c.client.CoreV1().Services(c.o.namespace).Delete(ctx, c.o.name, metav1.DeleteOptions{})
}

// service has no selector, so that no controller touches it or its slice.
func (c *convergence) service() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.o.namespace, Name: c.o.name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func (c *convergence) slice(ip string) *discoveryv1.EndpointSlice {
	name, port, proto, ready := "http", int32(80), corev1.ProtocolTCP, true
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.o.namespace, Name: c.o.name,
			Labels: map[string]string{discoveryv1.LabelServiceName: c.o.name, discoveryv1.LabelManagedBy: "kbcluster"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &proto}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{ip},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}
}

func (c *convergence) setAddress(ctx context.Context, ip string) error {
	c.want.Store(&ip)
	_, err := c.client.DiscoveryV1().EndpointSlices(c.o.namespace).Update(ctx, c.slice(ip), metav1.UpdateOptions{})
	return err
}

func (c *convergence) createService(ctx context.Context, ip string) error {
	s := c.service()
	s.Spec.ClusterIP = ip
	c.want.Store(&ip)
	_, err := c.client.CoreV1().Services(c.o.namespace).Create(ctx, s, metav1.CreateOptions{})
	return err
}

func (c *convergence) deleteService(ctx context.Context) error {
	v := absent
	c.want.Store(&v)
	return c.client.CoreV1().Services(c.o.namespace).Delete(ctx, c.o.name, metav1.DeleteOptions{})
}

// clusterIP goes round the last 255 addresses of the range, without the very
// last one, which is never given out.
func (c *convergence) clusterIP(n int) (string, error) {
	p, err := netip.ParsePrefix(c.o.serviceCIDR)
	if err != nil {
		return "", err
	}
	size := uint64(1) << (p.Addr().BitLen() - p.Bits())
	if size < 512 {
		return "", fmt.Errorf("--service-cidr %v is too small", p)
	}
	return addressPool{p}.at(size - 2 - uint64(n+1)%254)
}

/* ---- the raw watch ---- */

// rawConn is a blocking socket that remembers when bytes came in last. Only the
// watch's thread reads it.
type rawConn struct {
	fd     int
	readAt int64
}

func (r *rawConn) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(r.fd, b)
		r.readAt = nowNS()
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (r *rawConn) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n, err := unix.Write(r.fd, b[done:])
		if err != nil && !errors.Is(err, unix.EINTR) {
			return done, err
		}
		done += max(n, 0)
	}
	return len(b), nil
}

func (r *rawConn) Close() error                     { return unix.Close(r.fd) }
func (r *rawConn) LocalAddr() net.Addr              { return nil }
func (r *rawConn) RemoteAddr() net.Addr             { return nil }
func (r *rawConn) SetDeadline(time.Time) error      { return nil }
func (r *rawConn) SetReadDeadline(time.Time) error  { return nil }
func (r *rawConn) SetWriteDeadline(time.Time) error { return nil }

// startWatch returns when the watch stands: a first list gives it the version
// to start from.
func (c *convergence) startWatch() error {
	cfg, err := restConfig(c.o.kubeconfig)
	if err != nil {
		return err
	}
	u, err := url.Parse(cfg.Host)
	if err != nil {
		return err
	}
	tlsc, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return err
	}
	if tlsc == nil {
		return errors.New("the API server's address is not https")
	}
	if tlsc.ServerName == "" {
		tlsc.ServerName = u.Hostname()
	}
	tlsc.NextProtos = []string{"http/1.1"} // one stream, no frames of others in between
	port := u.Port()
	if port == "" {
		port = "443"
	}
	dst, err := netip.ParseAddrPort(net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}

	ctx := context.Background()
	path, version := "", ""
	if c.o.kind == "service" {
		l, err := c.client.CoreV1().Services(c.o.namespace).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return err
		}
		path, version = "/api/v1", l.ResourceVersion
	} else {
		l, err := c.client.DiscoveryV1().EndpointSlices(c.o.namespace).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return err
		}
		path, version = "/apis/discovery.k8s.io/v1", l.ResourceVersion
	}
	q := url.Values{"watch": {"1"}, "resourceVersion": {version}, "timeoutSeconds": {"86400"}}
	if !c.o.watchAll {
		path += "/namespaces/" + c.o.namespace
		q.Set("fieldSelector", "metadata.name="+c.o.name)
	}
	req, err := http.NewRequest("GET", cfg.Host+path+"/"+c.o.kind+"s?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "kbcluster-watch")
	if cfg.BearerToken != "" {
		req.Header.Set("Authorization", "Bearer "+cfg.BearerToken)
	}

	up := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		fd, err := connectedSocket(dst, unix.SOCK_STREAM, 0)
		if err != nil {
			up <- err
			return
		}
		raw := &rawConn{fd: fd}
		conn := tls.Client(raw, tlsc)
		if err := req.Write(conn); err != nil {
			up <- err
			return
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), req)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = errors.New(resp.Status)
		}
		up <- err
		if err != nil {
			return
		}
		c.errs <- fmt.Errorf("raw watch ended: %w", c.readEvents(raw, bufio.NewReaderSize(resp.Body, 1<<20)))
	}()
	return <-up
}

func (c *convergence) readEvents(raw *rawConn, body *bufio.Reader) error {
	name := []byte(`"name":"` + c.o.name + `"`)
	for {
		line, err := body.ReadSlice('\n')
		if err != nil {
			return err
		}
		at := raw.readAt
		if c.o.watchAll && !bytes.Contains(line, name) {
			continue
		}
		var e struct {
			Type   string `json:"type"`
			Object struct {
				Metadata  metav1.ObjectMeta `json:"metadata"`
				Spec      corev1.ServiceSpec
				Endpoints []discoveryv1.Endpoint
				Message   string
			} `json:"object"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Type == "ERROR" {
			return errors.New(e.Object.Message)
		}
		if e.Object.Metadata.Name != c.o.name || e.Object.Metadata.Namespace != c.o.namespace {
			continue
		}
		s := sighting{value: e.Object.Spec.ClusterIP, at: at}
		if c.o.kind == "endpointslice" && len(e.Object.Endpoints) > 0 {
			s.value = e.Object.Endpoints[0].Addresses[0]
		}
		if e.Type == "DELETED" {
			s.value = absent
		}
		c.seen <- s
	}
}

/* ---- the poller ---- */

func (c *convergence) poll(dst netip.AddrPort, query []byte, ready chan<- error) {
	runtime.LockOSThread()
	if c.o.netns != "" {
		if err := enterNetns(c.o.netns); err != nil {
			ready <- err
			return
		}
	}
	fd, err := udpSocket(dst, 20*time.Millisecond)
	ready <- err
	if err != nil {
		return
	}
	defer unix.Close(fd)
	// Sleeps of 50 us are otherwise rounded up by as much again.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)

	buf := make([]byte, 65535)
	var found *string // the wanted value that was seen already
	var foundAt int64
	for id := uint16(1); !c.stop.Load(); id++ {
		query[0], query[1] = byte(id>>8), byte(id)
		want := c.want.Load()
		sent := nowNS()
		c.queries.Add(1)
		if _, err := unix.Write(fd, query); err != nil {
			c.lost.Add(1) // nobody listens: told by ICMP
		} else if n, ok := receive(fd, buf, id); !ok {
			c.lost.Add(1)
		} else {
			at := nowNS()
			// The next change may have begun meanwhile; then this answer may
			// show it already, and says nothing about the last one.
			before := want
			want = c.want.Load()
			match, valid := answers(buf[:n], want)
			switch {
			case !valid:
				c.failures.Add(1)
			case want == nil:
			case match && found != want:
				found, foundAt = want, at
				c.answer <- sighting{*want, at, sent}
			case !match && found == want && want == before:
				c.wentBack.Add(1)
				var m dnsmessage.Message
				if m.Unpack(buf[:n]) == nil {
					s := fmt.Sprintf("%s %v instead of %s, %d us later", m.RCode, showRecords(m.Answers), *want, (at-foundAt)/1000)
					c.wentBackTo.Store(&s)
				}
			}
		}
		if rest := sent + c.o.poll.Nanoseconds() - nowNS(); rest > 0 {
			ts := unix.NsecToTimespec(rest)
			_ = unix.Nanosleep(&ts, nil)
		}
	}
}

// receive skips late answers to earlier queries.
func receive(fd int, buf []byte, id uint16) (int, bool) {
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, false
		}
		if n >= 12 && buf[0] == byte(id>>8) && buf[1] == byte(id) {
			return n, true
		}
	}
}

// answers tells whether the message shows the wanted value. It is not valid if
// it says neither that the name exists nor that it does not.
func answers(msg []byte, want *string) (match, valid bool) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || p.SkipAllQuestions() != nil {
		return false, false
	}
	if h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError {
		return false, false
	}
	if want == nil {
		return false, true
	}
	n := 0
	for {
		rh, err := p.AnswerHeader()
		if err != nil {
			break
		}
		if rh.Type != dnsmessage.TypeA {
			if p.SkipAnswer() != nil {
				return false, false
			}
			continue
		}
		a, err := p.AResource()
		if err != nil {
			return false, false
		}
		n++
		if netip.AddrFrom4(a.A).String() == *want {
			return true, true
		}
	}
	return n == 0 && *want == absent, true
}

/* ---- the noise ---- */

// startBackground runs churn as a process of its own, so that its work does not
// share a scheduler or a heap with our clocks. The function it returns ends it
// and tells the rate that was reached.
func (c *convergence) startBackground(ctx context.Context) (func() float64, error) {
	if c.o.backgroundRate <= 0 {
		return func() float64 { return 0 }, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, self, "churn", "--kubeconfig", c.o.kubeconfig, "--etcd", c.o.etcd, "--seconds", "0",
		"--rate", fmt.Sprint(c.o.backgroundRate), "--exclude", c.o.namespace+"/"+c.o.name)
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // until its own list is over and the rate is steady
	return func() float64 {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		var r struct {
			Rate float64 `json:"rate"`
		}
		_ = json.Unmarshal(out.Bytes(), &r)
		return r.Rate
	}, nil
}
