// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"net/netip"
	"os"
	"sort"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// run is one run of comparisons and what it found.
type run struct {
	o        *options
	cluster  *cluster
	r        *rand.Rand
	qr       *questioner
	st       *state
	churn    *churn
	sentinel *sentinel
	accept   *acceptance
	shares   shares
	start    counters
	found    map[string]*finding
	compared map[string]int // by engine
	nFound   int
	left     int // queries that an engine left on its way, and that CoreDNS answered

	ref, socket     *udpClient
	refAddr, sockAd netip.AddrPort
	tc              [2]*udpClient // by family
	xdp             *xdpEngine
	wire            [2]*udpClient // to the xdp engine over a veth
	answers         *bufio.Writer
}

type finding struct {
	count int
	first string
}

// IP TTLs tell the repliers of the tc engine's address apart: the test gives the node's own
// packets one less than the engines write.
const (
	hopsOurs = 64
	hopsNode = 63
)

func newRun(ctx context.Context, o *options) (*run, error) {
	r := &run{o: o, r: rand.New(rand.NewSource(o.seed)), accept: newAcceptance(), found: map[string]*finding{},
		shares: shares{}, compared: map[string]int{}}
	var err error
	if r.cluster, err = openCluster(o.kubeconfig); err != nil {
		return nil, err
	}
	if r.refAddr, err = netip.ParseAddrPort(o.reference); err != nil {
		return nil, err
	}
	if r.ref, err = dialUDP(o.netns, r.refAddr); err != nil {
		return nil, err
	}
	if r.sockAd, err = netip.ParseAddrPort(o.socket); err != nil {
		return nil, err
	}
	if r.socket, err = dialUDP(o.netns, r.sockAd); err != nil {
		return nil, err
	}
	if o.podNetns != "" {
		for i, a := range dnsAddrs {
			if r.tc[i], err = dialUDP(o.podNetns, netip.AddrPortFrom(a, 53)); err != nil {
				return nil, err
			}
		}
	}
	if o.xdpPin != "" {
		if r.xdp, err = openXDP(o.netns, o.xdpPin, o.xdpIf); err != nil {
			return nil, err
		}
		for i := 0; o.xdpNetns != "" && i < 2; i++ {
			if r.wire[i], err = r.xdp.wire(o.xdpNetns, o.xdpPeer, xdpPeer[i], dnsAddrs[i]); err != nil {
				return nil, err
			}
		}
	}
	if o.answers != "" {
		f, err := os.Create(o.answers)
		if err != nil {
			return nil, err
		}
		r.answers = bufio.NewWriter(f)
	}
	if r.start, err = readCounters(o.ctl); err != nil {
		return nil, err
	}
	if r.sentinel, err = newSentinel(ctx, r.cluster, &o.rules, o.part); err != nil {
		return nil, err
	}
	if r.st, err = r.cluster.read(ctx); err != nil {
		return nil, err
	}
	r.churn = newChurn(r.cluster, r.r, r.st, o.part)
	r.qr = &questioner{r: r.r}
	return r, r.settle(ctx)
}

// change changes objects, and returns when both servers know.
func (r *run) change(ctx context.Context) error {
	if err := r.churn.step(ctx, r.st, r.o.changes); err != nil {
		return err
	}
	return r.settle(ctx)
}

func (r *run) settle(ctx context.Context) (err error) {
	if err = r.sentinel.wait(ctx, map[string]*udpClient{"CoreDNS": r.ref, "kbdnsd": r.socket}); err != nil {
		return err
	}
	if r.st, err = r.cluster.read(ctx); err != nil {
		return err
	}
	r.qr.cat = newCatalog(r.st, &r.o.rules)
	return nil
}

var (
	dnsAddrs  = [2]netip.Addr{netip.MustParseAddr(dnsIP4), netip.MustParseAddr(dnsIP6)}
	xdpPeer   = [2]netip.Addr{netip.MustParseAddr("10.244.0.12"), netip.MustParseAddr("fd00:10:244::c")}
	xdpSource = [2]netip.Addr{netip.MustParseAddr("10.244.9.9"), netip.MustParseAddr("fd00:10:244::909")}
)

func (r *run) total() (n int) {
	for _, c := range r.compared {
		n += c
	}
	return n
}

// part asks a server only some of the questions.
func part(queries [][]byte, indices []int, ask func([][]byte) ([]reply, error), out []reply) error {
	sub := make([][]byte, len(indices))
	for i, n := range indices {
		sub[i] = append([]byte(nil), queries[n]...)
		binary.BigEndian.PutUint16(sub[i], uint16(i))
	}
	got, err := ask(sub)
	if err != nil {
		return err
	}
	for i, n := range indices {
		out[n] = got[i]
	}
	return nil
}

// wirePart: one in so many questions of each half also goes over the wire of the xdp engine.
const wirePart = 20

// batch is a number of questions and everybody's replies.
type batch struct {
	qs                         []*question
	queries                    [][]byte
	ref, socket, tc, xdp, wire []reply
	refTCP, socketTCP          []reply
	overTCP                    []int // those that were asked over TCP too
}

func (r *run) draw() *batch {
	b := &batch{}
	for i := 0; i < r.o.batch; i++ {
		q := r.qr.next()
		binary.BigEndian.PutUint16(q.wire, uint16(i))
		b.qs = append(b.qs, q)
		b.queries = append(b.queries, q.wire)
	}
	return b
}

// ask puts the questions to all engines at the same time.
func (r *run) ask(b *batch) error {
	n := len(b.qs)
	b.tc, b.xdp, b.wire = make([]reply, n), make([]reply, n), make([]reply, n)
	var halves [2][]int
	for i := range b.qs {
		halves[i%2] = append(halves[i%2], i)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	do := func(i int, name string, f func() error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := f(); err != nil {
				errs[i] = fmt.Errorf("%s: %w", name, err)
			}
		}()
	}
	do(0, "reference", func() (err error) { b.ref, err = r.ref.exchange(b.queries); return err })
	do(1, "socket", func() (err error) { b.socket, err = r.socket.exchange(b.queries); return err })
	for i := range halves {
		if r.tc[i] != nil {
			do(2+i, "tc", func() error { return part(b.queries, halves[i], r.tc[i].exchange, b.tc) })
		}
		if r.xdp != nil {
			do(4+i, "xdp", func() error {
				return part(b.queries, halves[i], func(q [][]byte) ([]reply, error) {
					return r.xdp.ask(xdpSource[i], dnsAddrs[i], q)
				}, b.xdp)
			})
		}
	}
	for i := range halves {
		if r.wire[i] != nil {
			do(6+i, "xdp over veth", func() error { return part(b.queries, halves[i][:n/wirePart], r.wire[i].exchange, b.wire) })
		}
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return r.askTCP(b)
}

// askTCP asks a part over TCP, and all that somebody truncated.
func (r *run) askTCP(b *batch) error {
	for i, q := range b.qs {
		if q.tcp || truncated(b.ref[i]) || truncated(b.socket[i]) || truncated(b.tc[i]) || truncated(b.xdp[i]) || truncated(b.wire[i]) {
			b.overTCP = append(b.overTCP, i)
		}
	}
	b.refTCP, b.socketTCP = make([]reply, len(b.qs)), make([]reply, len(b.qs))
	for _, s := range []struct {
		to  netip.AddrPort
		out []reply
	}{{r.refAddr, b.refTCP}, {r.sockAd, b.socketTCP}} {
		ask := func(q [][]byte) ([]reply, error) { return exchangeTCP(r.o.netns, s.to, q) }
		if err := part(b.queries, b.overTCP, ask, s.out); err != nil {
			return fmt.Errorf("%s over TCP: %w", s.to, err)
		}
	}
	return nil
}

func truncated(r reply) bool { return len(r.wire) > 2 && r.wire[2]&2 != 0 }

// round asks one batch and compares.
func (r *run) round(ctx context.Context) error {
	before, err := readCounters(r.o.ctl)
	if err != nil {
		return err
	}
	retried := r.retries()
	b := r.draw()
	if err := r.ask(b); err != nil {
		return err
	}
	ours := map[string]int{}
	for i, q := range b.qs {
		ref, _ := parse(b.ref[i].wire)
		class := classOf(q, r.qr.cat, ref)
		r.compare(b, i, "socket", ref, b.socket[i])
		if b.refTCP[i].wire != nil || b.socketTCP[i].wire != nil {
			refTCP, _ := parse(b.refTCP[i].wire)
			r.compare(b, i, "socket/TCP", refTCP, b.socketTCP[i])
		}
		if r.xdp != nil {
			answered := b.xdp[i].wire != nil
			r.shares.count("xdp", class, answered)
			if answered {
				ours["xdp"]++
				r.compare(b, i, "xdp", ref, b.xdp[i])
			}
		}
		if b.wire[i].hops == hopsOurs {
			ours["xdp"]++
			r.compare(b, i, "xdp/veth", ref, b.wire[i])
		} else if b.wire[i].wire != nil {
			r.checkLeft(b, i, "left by xdp", ref, b.wire[i])
		}
		if r.tc[0] != nil {
			answered := b.tc[i].hops == hopsOurs
			r.shares.count("tc", class, answered)
			if answered {
				ours["tc"]++
				r.compare(b, i, "tc", ref, b.tc[i])
			} else {
				r.checkLeft(b, i, "left by tc", ref, b.tc[i])
			}
		}
	}
	now, err := readCounters(r.o.ctl)
	if err != nil {
		return err
	}
	for _, e := range keys(ours) {
		if got := answeredOf(now.since(before, e)); got != ours[e] && r.retries() == retried {
			return fmt.Errorf("the %s engine counts %d answers, %d have come", e, got, ours[e])
		}
	}
	return nil
}

func (r *run) retries() int {
	n := r.ref.retried + r.socket.retried
	for _, c := range append(r.tc[:], r.wire[:]...) {
		if c != nil {
			n += c.retried
		}
	}
	return n
}

// pair of a batch's question i.
func (r *run) pair(b *batch, i int, engine string, ref *message, got reply) (*pair, error) {
	p := &pair{q: b.qs[i], engine: engine, tcp: engine == "socket/TCP", ref: ref, cat: r.qr.cat,
		askReference: r.askReference}
	var err error
	if p.our, err = parse(got.wire); err != nil {
		return p, err
	}
	if !p.tcp && b.refTCP[i].wire != nil && (truncated(got) || truncated(b.ref[i])) {
		// What is wrong with the reference's own reply is its affair: duplicates are dropped.
		p.full, _ = parse(b.refTCP[i].wire)
		p.ourTCP = len(b.socketTCP[i].wire)
	}
	return p, nil
}

// askReference asks CoreDNS one question more.
func (r *run) askReference(name string, qtype uint16) *message {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.Id = 0
	wire, err := m.Pack()
	if err != nil {
		return &message{}
	}
	got, err := exchangeTCP(r.o.netns, r.refAddr, [][]byte{wire})
	if err != nil {
		return &message{}
	}
	out, _ := parse(got[0].wire)
	return out
}

func (r *run) compare(b *batch, i int, engine string, ref *message, got reply) {
	r.compared[engine]++
	if r.answers != nil && r.total()%r.o.sample == 0 && got.wire != nil {
		_ = binary.Write(r.answers, binary.BigEndian, uint16(len(got.wire)))
		_, _ = r.answers.Write(got.wire) // an error stays and is seen by Flush
	}
	p, err := r.pair(b, i, engine, ref, got)
	if err != nil {
		r.add(p, diffBroken, err.Error())
		return
	}
	if d := r.accept.judge(p, p.differences()); d != 0 {
		r.add(p, d, "")
	}
}

// checkLeft: what an engine left has gone to CoreDNS as it was, so that the answer is its.
func (r *run) checkLeft(b *batch, i int, engine string, ref *message, got reply) {
	p, err := r.pair(b, i, engine, ref, got)
	if err != nil && ref.m != nil && len(p.our.wire) == len(ref.wire) {
		err = nil // the reference's own fault, in both
	}
	if err != nil {
		r.add(p, diffBroken, err.Error())
		return
	}
	d := p.differences() &^ diffTooLong
	if got.wire != nil && got.hops != hopsNode {
		d |= diffSilence
	}
	if d != 0 {
		r.add(p, d, fmt.Sprintf("IP TTL %d", got.hops))
		return
	}
	r.left++
}

func (r *run) add(p *pair, d difference, note string) {
	r.nFound++
	k := "name not there"
	if p.q.entry != nil {
		k = fmt.Sprintf("kind %d", p.q.entry.kind)
	} else if p.q.zone == "" {
		k = "outside"
	}
	sig := fmt.Sprintf("%s | %s | %s | %s", d, typeName(p.q.qtype), k, p.q.odd)
	f := r.found[sig]
	if f == nil {
		f = &finding{first: fmt.Sprintf(" %s: %s\n%x\n CoreDNS:\n%s ours: %s\n%s", p.engine, p.q, p.q.wire, p.ref.text(), note, p.our.text())}
		r.found[sig] = f
	}
	f.count++
}

func (r *run) report() error {
	var sigs, never []string
	for s := range r.found {
		sigs = append(sigs, s)
	}
	sort.Slice(sigs, func(i, j int) bool { return r.found[sigs[i]].count > r.found[sigs[j]].count })
	for i, s := range sigs {
		if i >= r.o.show {
			fmt.Printf("... and %d more kinds of differences\n", len(sigs)-i)
			break
		}
		fmt.Printf("DIFFERENCE, %d times: %s\n%s\n", r.found[s].count, s, r.found[s].first)
	}
	for i, a := range acceptedList {
		if r.accept.used[i] == 0 {
			never = append(never, a.name)
			continue
		}
		fmt.Printf("accepted %-15s %8d  %s (%s)\n", a.name, r.accept.used[i], a.reason, a.basis)
	}
	if len(never) > 0 {
		fmt.Printf("accepted but never met: %s\n", strings.Join(never, ", "))
	}
	if r.answers != nil {
		if err := r.answers.Flush(); err != nil {
			return err
		}
	}
	bad := r.shares.print()
	now, err := readCounters(r.o.ctl)
	if err != nil {
		return err
	}
	for _, e := range []string{"tc", "xdp"} {
		printReasons(e, now.since(r.start, e))
	}
	for _, e := range keys(r.compared) {
		fmt.Printf("comparisons, %-10s %8d\n", e, r.compared[e])
	}
	fmt.Printf("left by an engine and answered by CoreDNS, the same as directly: %d; asked again: %d\n", r.left, r.retries())
	fmt.Printf("seed %d: %d comparisons, %d unexplained differences\n", r.o.seed, r.total(), r.nFound)
	if r.nFound > 0 {
		bad = append(bad, fmt.Sprintf("%d unexplained differences", r.nFound))
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d faults: %q", len(bad), bad)
	}
	return nil
}
