package main

import (
	"context"
	"fmt"
	"math/rand"
	"strconv"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cmdChurn writes EndpointSlices at a steady rate: each write is one watch event
// for everybody who watches them.
func cmdChurn(ctx context.Context, args []string) error {
	fs := newFlags("churn")
	kubeconfig := kubeconfigFlag(fs)
	rate := fs.Float64("rate", 100, "changes per second")
	seconds := fs.Float64("seconds", 10, "how long; 0 means until a signal")
	workers := fs.Int("workers", 16, "requests under way at once")
	namespace := fs.String("namespace", "", "only here; default: all namespaces")
	selector := fs.String("selector", "", "only slices with these labels")
	what := fs.String("what", "both", "what changes in one endpoint: readiness, address or both in turn")
	exclude := fs.String("exclude", "", "leave this slice (NAMESPACE/NAME) alone")
	seed := fs.Int64("seed", 1, "same seed, same sequence of changes")
	etcd := etcdFlag(fs)
	parse(fs, args)
	if *rate <= 0 || (*what != "readiness" && *what != "address" && *what != "both") {
		return fmt.Errorf("--rate or --what out of range")
	}

	const conns = 4
	cs, err := clients(*kubeconfig, conns)
	if err != nil {
		return err
	}
	store, err := openEtcd(*etcd)
	if err != nil {
		return err
	}
	defer store.close()
	slices, err := listSlices(ctx, cs[0].DiscoveryV1().EndpointSlices(*namespace).List, *selector)
	if err != nil {
		return err
	}
	// Each worker owns its slices, so writes never conflict among themselves.
	own := make([][]*discoveryv1.EndpointSlice, *workers)
	for i := range slices {
		s := &slices[i]
		if len(s.Endpoints) == 0 || s.Namespace+"/"+s.Name == *exclude || s.Name == "kubernetes" {
			continue
		}
		own[i%*workers] = append(own[i%*workers], s)
	}

	if *seconds > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*seconds*float64(time.Second)))
		defer cancel()
	}
	var (
		mu      sync.Mutex
		took    []float64
		failed  int
		lastErr error
		wg      sync.WaitGroup
	)
	tokens := make(chan struct{}, int(*rate/10)+*workers)
	start := time.Now()
	started := 0
	for w := range own {
		if len(own[w]) == 0 {
			continue
		}
		started++
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewSource(*seed + int64(w)))
			c := cs[w%conns].DiscoveryV1()
			for n := 0; ; n++ {
				select {
				case <-tokens:
				case <-ctx.Done():
					return
				}
				i := rnd.Intn(len(own[w]))
				s := own[w][i].DeepCopy()
				mutate(s, rnd, *what, n)
				// What is under way at the end is still finished.
				ctx := context.WithoutCancel(ctx)
				t := time.Now()
				var got *discoveryv1.EndpointSlice
				var err error
				if store != nil {
					got, err = s, store.put(ctx, s)
				} else {
					got, err = c.EndpointSlices(s.Namespace).Update(ctx, s, metav1.UpdateOptions{})
				}
				if apierrors.IsConflict(err) {
					// somebody else's write: take theirs, try at the next turn
					got, err = c.EndpointSlices(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
				}
				mu.Lock()
				if err != nil {
					failed++
					lastErr = err
				} else {
					own[w][i] = got
					took = append(took, float64(time.Since(t).Microseconds())/1000)
				}
				mu.Unlock()
			}
		}()
	}
	if started == 0 {
		return fmt.Errorf("no EndpointSlice with an endpoint to change")
	}
	missed := pace(ctx, *rate, tokens)
	wg.Wait()
	secs := time.Since(start).Seconds()
	printJSON(map[string]any{
		"asked_rate": *rate, "rate": round3(float64(len(took)) / secs), "changes": len(took), "seconds": round3(secs),
		"failed": failed, "missed": missed, "write_ms": distribute(took),
	})
	if failed > 0 {
		return fmt.Errorf("%d writes failed, the last one: %w", failed, lastErr)
	}
	return nil
}

// listSlices pages, to spare the server a 60 MB answer in one piece.
func listSlices(ctx context.Context,
	list func(context.Context, metav1.ListOptions) (*discoveryv1.EndpointSliceList, error),
	selector string) ([]discoveryv1.EndpointSlice, error) {
	var all []discoveryv1.EndpointSlice
	o := metav1.ListOptions{LabelSelector: selector, Limit: 2000}
	for {
		l, err := list(ctx, o)
		if err != nil {
			return nil, err
		}
		all = append(all, l.Items...)
		if o.Continue = l.Continue; o.Continue == "" {
			return all, nil
		}
	}
}

// pace hands out tokens until ctx ends and returns how many nobody took in time.
func pace(ctx context.Context, rate float64, tokens chan<- struct{}) int {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	start := time.Now()
	given, missed := 0, 0
	for {
		select {
		case <-ctx.Done():
			return missed
		case <-t.C:
		}
		for due := int(time.Since(start).Seconds() * rate); given < due; given++ {
			select {
			case tokens <- struct{}{}:
			default:
				missed++
			}
		}
	}
}

func mutate(s *discoveryv1.EndpointSlice, rnd *rand.Rand, what string, n int) {
	e := &s.Endpoints[rnd.Intn(len(s.Endpoints))]
	if what == "readiness" || (what == "both" && n%2 == 0) {
		ready := e.Conditions.Ready != nil && !*e.Conditions.Ready
		e.Conditions.Ready, e.Conditions.Serving = &ready, &ready
		return
	}
	// A replaced pod: new address, here from a range that gen does not use.
	if s.AddressType == discoveryv1.AddressTypeIPv6 {
		e.Addresses = []string{"fd00:10:64::" + strconv.FormatInt(int64(rnd.Intn(1<<16)), 16)}
	} else {
		e.Addresses = []string{fmt.Sprintf("10.%d.%d.%d", 64+rnd.Intn(32), rnd.Intn(256), 1+rnd.Intn(254))}
	}
}
