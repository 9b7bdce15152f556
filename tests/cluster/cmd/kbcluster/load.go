package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func cmdLoad(ctx context.Context, args []string) error {
	fs := newFlags("load")
	kubeconfig := kubeconfigFlag(fs)
	file := fs.String("snapshot", "", "a List as of `kubectl get svc,endpointslices,ns,pods -A -o json` (- for stdin)")
	workers := fs.Int("workers", 32, "requests under way at once")
	etcd := etcdFlag(fs)
	parse(fs, args)
	f := os.Stdin
	if *file != "-" {
		var err error
		if f, err = os.Open(*file); err != nil {
			return err
		}
		defer f.Close()
	}
	objs, err := readSnapshot(f)
	if err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	return create(ctx, *kubeconfig, *etcd, *workers, objs)
}

// readItems calls f for every object of the JSON documents in r, and for every
// item of those that are lists. A typed list (ServiceList) leaves the kind out
// of its items; they get it here.
func readItems(r io.Reader, f func(apiVersion, kind string, raw []byte) error) error {
	d := json.NewDecoder(r)
	for {
		var raw json.RawMessage
		if err := d.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := readItem(raw, "", "", f); err != nil {
			return err
		}
	}
}

func readItem(raw []byte, apiVersion, kind string, f func(apiVersion, kind string, raw []byte) error) error {
	var o struct {
		metav1.TypeMeta
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return err
	}
	if o.Kind == "" {
		o.APIVersion, o.Kind = apiVersion, kind
	}
	if o.Items == nil && !strings.HasSuffix(o.Kind, "List") {
		if o.Kind == "" || o.APIVersion == "" {
			return fmt.Errorf("an object without kind or apiVersion")
		}
		return f(o.APIVersion, o.Kind, raw)
	}
	for _, it := range o.Items {
		if err := readItem(it, o.APIVersion, strings.TrimSuffix(o.Kind, "List"), f); err != nil {
			return err
		}
	}
	return nil
}

func readSnapshot(r io.Reader) (*objects, error) {
	objs := &objects{}
	seen := map[string]bool{}
	need := map[string]bool{}
	err := readItems(r, func(_, kind string, raw []byte) error {
		switch kind {
		case "Namespace":
			o := &corev1.Namespace{}
			objs.namespaces = append(objs.namespaces, o)
			if err := json.Unmarshal(raw, o); err != nil {
				return err
			}
			seen[o.Name] = true
		case "Service":
			o := &corev1.Service{}
			objs.services = append(objs.services, o)
			if err := json.Unmarshal(raw, o); err != nil {
				return err
			}
			need[o.Namespace] = true
		case "EndpointSlice":
			o := &discoveryv1.EndpointSlice{}
			objs.slices = append(objs.slices, o)
			if err := json.Unmarshal(raw, o); err != nil {
				return err
			}
			canonical(o)
			need[o.Namespace] = true
		case "Pod":
			o := &corev1.Pod{}
			objs.pods = append(objs.pods, o)
			if err := json.Unmarshal(raw, o); err != nil {
				return err
			}
			need[o.Namespace] = true
		default:
			return fmt.Errorf("kind %s: only Namespace, Service, EndpointSlice and Pod are loaded", kind)
		}
		return nil
	})
	for ns := range need {
		if !seen[ns] {
			objs.namespaces = append(objs.namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
		}
	}
	return objs, err
}

// canonical rewrites addresses such as fd00:0:0::1, which older servers took and which stay
// in their clusters, but which today's refuse to create.
func canonical(s *discoveryv1.EndpointSlice) {
	for i := range s.Endpoints {
		for j, text := range s.Endpoints[i].Addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				s.Endpoints[i].Addresses[j] = a.String()
			}
		}
	}
}

// clean drops what only a server may set; the UID is returned for owner references.
func clean(m *metav1.ObjectMeta) types.UID {
	uid := m.UID
	m.UID, m.ResourceVersion, m.Generation, m.SelfLink = "", "", 0, ""
	m.CreationTimestamp = metav1.Time{}
	m.DeletionTimestamp, m.DeletionGracePeriodSeconds = nil, nil
	m.ManagedFields = nil
	return uid
}

type phase struct {
	Created int64   `json:"created"`
	Existed int64   `json:"existed"`
	Seconds float64 `json:"seconds"`
}

// create puts everything on the server, as fast as it allows. What exists is
// left as it is and counted: every cluster has default/kubernetes already.
func create(ctx context.Context, kubeconfig, etcd string, workers int, objs *objects) error {
	const conns = 4
	cs, err := clients(kubeconfig, conns)
	if err != nil {
		return err
	}
	store, err := openEtcd(etcd)
	if err != nil {
		return err
	}
	defer store.close()
	start := time.Now()
	var uids sync.Map // old UID -> new UID of Services, for their slices
	run := func(n int, f func(ctx context.Context, w, i int) error) (phase, error) {
		var ph phase
		t := time.Now()
		err := parallel(ctx, workers, n, func(ctx context.Context, w, i int) error {
			err := retry(ctx, func() error { return f(ctx, w, i) })
			if apierrors.IsAlreadyExists(err) {
				atomic.AddInt64(&ph.Existed, 1)
				return nil
			}
			if err == nil {
				atomic.AddInt64(&ph.Created, 1)
			}
			return err
		})
		ph.Seconds = since(t)
		return ph, err
	}
	opts := metav1.CreateOptions{}

	ns, err := run(len(objs.namespaces), func(ctx context.Context, w, i int) error {
		o := objs.namespaces[i]
		clean(&o.ObjectMeta)
		_, err := cs[w%conns].CoreV1().Namespaces().Create(ctx, o, opts)
		return err
	})
	if err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	svc, err := run(len(objs.services), func(ctx context.Context, w, i int) error {
		o := objs.services[i]
		if store != nil {
			return store.createService(ctx, o)
		}
		old := clean(&o.ObjectMeta)
		got, err := cs[w%conns].CoreV1().Services(o.Namespace).Create(ctx, o, opts)
		if apierrors.IsInvalid(err) {
			// The server looks at the address before the name. A Service of this
			// name stands as it is, as does default/kubernetes with an address
			// of this cluster instead of the snapshot's.
			if _, e := cs[w%conns].CoreV1().Services(o.Namespace).Get(ctx, o.Name, metav1.GetOptions{}); e == nil {
				return apierrors.NewAlreadyExists(corev1.Resource("services"), o.Name)
			}
		}
		if err != nil {
			if old != "" {
				o.UID = old // for a retry
			}
			return fmt.Errorf("%s/%s: %w", o.Namespace, o.Name, err)
		}
		uids.Store(old, got.UID)
		return nil
	})
	if err != nil {
		return fmt.Errorf("services: %w", err)
	}
	slices, err := run(len(objs.slices), func(ctx context.Context, w, i int) error {
		o := objs.slices[i]
		if store != nil {
			return store.createSlice(ctx, o)
		}
		clean(&o.ObjectMeta)
		refs := o.OwnerReferences
		o.OwnerReferences = nil
		// An owner that does not exist makes a garbage collector delete the slice.
		for _, r := range refs {
			if uid, ok := uids.Load(r.UID); ok {
				r.UID = uid.(types.UID)
				o.OwnerReferences = append(o.OwnerReferences, r)
			}
		}
		_, err := cs[w%conns].DiscoveryV1().EndpointSlices(o.Namespace).Create(ctx, o, opts)
		if err != nil {
			o.OwnerReferences = refs
			return fmt.Errorf("%s/%s: %w", o.Namespace, o.Name, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("endpointslices: %w", err)
	}
	if store == nil {
		if err := createAccounts(ctx, cs[0], objs.pods); err != nil {
			return err
		}
	}
	pods, err := run(len(objs.pods), func(ctx context.Context, w, i int) error {
		if store != nil {
			return store.createPod(ctx, objs.pods[i])
		}
		return createPod(ctx, cs[w%conns], objs.pods[i])
	})
	if err != nil {
		return fmt.Errorf("pods: %w", err)
	}
	printJSON(map[string]any{"namespaces": ns, "services": svc, "endpointslices": slices, "pods": pods, "seconds": since(start)})
	return nil
}

// retry repeats what the server was too busy for.
func retry(ctx context.Context, f func() error) error {
	for i := 0; ; i++ {
		err := f()
		if err == nil || i == 20 || ctx.Err() != nil {
			return err
		}
		if !apierrors.IsTooManyRequests(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsTimeout(err) &&
			!apierrors.IsServiceUnavailable(err) {
			return err
		}
		time.Sleep(time.Duration(i+1) * 20 * time.Millisecond)
	}
}
