// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// Pods of a StatefulSet that are replaced, in place or with a gap as by a forced deletion: the
// name follows at once, and the old address is not answered any more once the event is out.

// eventSlack is how long after the event's arrival here an old answer is put down to the
// machine's scheduling; the longest that was seen is printed.
const eventSlack = 250 * time.Millisecond

type replacement struct {
	mu      sync.Mutex
	address string          // the right answer, "" for NXDOMAIN
	next    string          // right as well, while the change is under way
	since   time.Time       // when its event came
	last    []time.Duration // of each event: how long after it the old answer still came
	asked   int
	faults  []string
}

func (r *run) replacements(ctx context.Context, rounds int) error {
	if err := r.cluster.createService(ctx, headless("sts")); err != nil {
		return err
	}
	defer func() { // for the next run on this cluster
		_ = r.cluster.api.CoreV1().Services(checkNamespace).Delete(ctx, "sts", metav1.DeleteOptions{})
		_ = r.cluster.api.DiscoveryV1().EndpointSlices(checkNamespace).Delete(ctx, "sts", metav1.DeleteOptions{})
	}()
	w, err := r.cluster.api.DiscoveryV1().EndpointSlices(checkNamespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=sts"})
	if err != nil {
		return err
	}
	defer w.Stop()
	p := &replacement{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	servers := []*udpClient{r.socket}
	if r.tc[0] != nil {
		servers = append(servers, r.tc[0])
	}
	for _, u := range servers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p.askAll(u, stop)
		}()
	}
	err = func() error {
		for i := 1; i <= rounds; i++ {
			old, next := fmt.Sprintf("10.249.0.%d", i), fmt.Sprintf("10.249.0.%d", i+1)
			steps := []string{old, next} // replaced in place
			if i%2 == 0 {
				steps = []string{old, "", next} // gone first
			}
			for _, a := range steps {
				if a == old && i > 1 {
					continue // it is there
				}
				p.mu.Lock()
				p.next = a
				p.mu.Unlock()
				come := make(chan error, 1)
				go func() { come <- p.event(w, a) }() // it comes before the API server's reply
				if err := r.cluster.putSlice(ctx, single("sts", "sts", "web-0", a)); err != nil {
					return err
				}
				if err := <-come; err != nil {
					return err
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		return nil
	}()
	close(stop)
	wg.Wait()
	if err != nil {
		return err
	}
	sort.Slice(p.last, func(i, j int) bool { return p.last[i] < p.last[j] })
	ms := func(part int) float64 { return float64(p.last[(len(p.last)-1)*part/100].Microseconds()) / 1000 }
	fmt.Printf("replaced pods: %d events among %d answers; the old one came for %.1f ms after the event's arrival (median; at most %.1f)\n",
		len(p.last), p.asked, ms(50), ms(100))
	if len(p.faults) > 0 {
		return fmt.Errorf("replaced pods: %d faults, the first: %s", len(p.faults), p.faults[0])
	}
	return nil
}

// event waits for the one that the change brings.
func (p *replacement) event(w watch.Interface, address string) error {
	for {
		select {
		case _, open := <-w.ResultChan():
			if !open {
				return fmt.Errorf("the watch has ended")
			}
			p.mu.Lock()
			p.address, p.since = address, time.Now()
			p.last = append(p.last, 0)
			p.mu.Unlock()
			return nil
		case <-time.After(5 * time.Second):
			return fmt.Errorf("no event within 5 s")
		}
	}
}

func (p *replacement) askAll(u *udpClient, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		p.mu.Lock()
		since := p.since
		p.mu.Unlock()
		sent := time.Now()
		m, err := askOne(u, "web-0.sts."+checkNamespace+".svc.cluster.local.", dns.TypeA)
		p.mu.Lock()
		// An event that has come meanwhile makes either answer right.
		if !since.IsZero() && since.Equal(p.since) {
			p.judge(m, err, sent.Sub(since))
		}
		p.asked++
		p.mu.Unlock()
		time.Sleep(200 * time.Microsecond)
	}
}

func (p *replacement) judge(m *message, err error, age time.Duration) {
	got := "?"
	switch {
	case err != nil || m.m == nil:
	case m.rcode == dns.RcodeNameError:
		got = ""
	case len(m.m.Answer) == 1:
		if a, ok := m.m.Answer[0].(*dns.A); ok {
			got = a.A.String()
		}
	}
	if got == p.address || got == p.next {
		return
	}
	p.last[len(p.last)-1] = max(p.last[len(p.last)-1], age)
	if age > eventSlack || got == "?" {
		p.faults = append(p.faults, fmt.Sprintf("%q instead of %q, %s after the event", got, p.address, age))
	}
}
