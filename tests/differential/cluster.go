// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand"
	"sort"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// The API server: fills it, and reads back what is there.

type cluster struct {
	api kubernetes.Interface
}

func openCluster(kubeconfig string) (*cluster, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1
	cfg.WarningHandler = rest.NoWarnings{}
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	api, err := kubernetes.NewForConfig(cfg)
	return &cluster{api}, err
}

func (c *cluster) createNamespace(ctx context.Context, o *corev1.Namespace) error {
	_, err := c.api.CoreV1().Namespaces().Create(ctx, o, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (c *cluster) createService(ctx context.Context, o *corev1.Service) error {
	_, err := c.api.CoreV1().Services(o.Namespace).Create(ctx, o, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("service %s/%s: %w", o.Namespace, o.Name, err)
	}
	return nil
}

func (c *cluster) createSlice(ctx context.Context, o *discoveryv1.EndpointSlice) error {
	_, err := c.api.DiscoveryV1().EndpointSlices(o.Namespace).Create(ctx, o, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("endpointslice %s/%s: %w", o.Namespace, o.Name, err)
	}
	return nil
}

// deleteNamespace does what the namespace controller would: nothing here does it for us.
func (c *cluster) deleteNamespace(ctx context.Context, name string) error {
	err := c.api.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil {
		return err
	}
	o, err := c.api.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	o.Spec.Finalizers = nil
	_, err = c.api.CoreV1().Namespaces().Finalize(ctx, o, metav1.UpdateOptions{})
	return err
}

// parallel runs f for each of n, a few at a time, and returns the first error.
func parallel(n int, f func(i int) error) error {
	const workers = 16
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for w := 0; w < workers; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < n; i += workers {
				if err := f(i); err != nil {
					once.Do(func() { first = err })
					return
				}
			}
		}()
	}
	wg.Wait()
	return first
}

// alwaysShown are namespaces that a filter lets through.
var alwaysShown = []string{"visible-1", "visible-2", "visible-3"}

// fill makes the first state of the cluster: `size` Services.
func (c *cluster) fill(ctx context.Context, r *rand.Rand, size int) error {
	g := newGenerator(r)
	g.namespaces = append([]string{"default", "kube-system"}, alwaysShown...)
	var nss []*corev1.Namespace
	for _, n := range alwaysShown {
		nss = append(nss, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n, Labels: map[string]string{"tier": "a"}}})
	}
	for i := 0; i < 8+size/20; i++ {
		nss = append(nss, g.namespace())
	}
	// A third of the namespaces stays empty.
	used := g.namespaces[:2+len(nss)*2/3]
	if err := parallel(len(nss), func(i int) error { return c.createNamespace(ctx, nss[i]) }); err != nil {
		return err
	}
	if err := c.labelDefaults(ctx); err != nil {
		return err
	}
	svc, slices := dnsService()
	svcs := []*corev1.Service{svc}
	svcs = append(svcs, g.chain(alwaysShown[0])...)
	for i := 0; i < size; i++ {
		s := g.service(pick(r, used))
		svcs = append(svcs, s)
		slices = append(slices, g.slices(s)...)
	}
	// Slices whose Service is not there.
	for i := 0; i < 1+size/50; i++ {
		s := g.service(pick(r, used))
		for s.Spec.Type == corev1.ServiceTypeExternalName {
			s = g.service(pick(r, used))
		}
		slices = append(slices, g.slices(s)...)
	}
	var pods []*corev1.Pod
	for i := 0; i < size/3; i++ {
		pods = append(pods, g.pod(pick(r, used)))
	}
	if err := parallel(len(pods), func(i int) error { return c.createPod(ctx, pods[i]) }); err != nil {
		return err
	}
	// Slices come first for some of their Services.
	half := len(slices) / 2
	if err := parallel(half, func(i int) error { return c.createSlice(ctx, slices[i]) }); err != nil {
		return err
	}
	if err := parallel(len(svcs), func(i int) error { return c.createService(ctx, svcs[i]) }); err != nil {
		return err
	}
	return parallel(len(slices)-half, func(i int) error { return c.createSlice(ctx, slices[half+i]) })
}

// labelDefaults shows what the API server itself makes to every filter.
func (c *cluster) labelDefaults(ctx context.Context) error {
	for _, name := range []string{"default", "kube-system"} {
		ns, err := c.api.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		ns.Labels["tier"] = "a"
		if _, err := c.api.CoreV1().Namespaces().Update(ctx, ns, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	svc, err := c.api.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return err
	}
	svc.Labels["shown"] = "yes"
	_, err = c.api.CoreV1().Services("default").Update(ctx, svc, metav1.UpdateOptions{})
	return err
}

// state is a copy of what the API server holds, in a fixed order.
type state struct {
	namespaces []corev1.Namespace
	services   []corev1.Service
	slices     []discoveryv1.EndpointSlice
	pods       []corev1.Pod
}

func (c *cluster) read(ctx context.Context) (*state, error) {
	opts := metav1.ListOptions{}
	ns, err := c.api.CoreV1().Namespaces().List(ctx, opts)
	if err != nil {
		return nil, err
	}
	svc, err := c.api.CoreV1().Services("").List(ctx, opts)
	if err != nil {
		return nil, err
	}
	sl, err := c.api.DiscoveryV1().EndpointSlices("").List(ctx, opts)
	if err != nil {
		return nil, err
	}
	pods, err := c.api.CoreV1().Pods("").List(ctx, opts)
	if err != nil {
		return nil, err
	}
	s := &state{ns.Items, svc.Items, sl.Items, pods.Items}
	sort.Slice(s.pods, func(i, j int) bool { return less(&s.pods[i].ObjectMeta, &s.pods[j].ObjectMeta) })
	sort.Slice(s.namespaces, func(i, j int) bool { return s.namespaces[i].Name < s.namespaces[j].Name })
	sort.Slice(s.services, func(i, j int) bool { return less(&s.services[i].ObjectMeta, &s.services[j].ObjectMeta) })
	sort.Slice(s.slices, func(i, j int) bool { return less(&s.slices[i].ObjectMeta, &s.slices[j].ObjectMeta) })
	return s, nil
}

func less(a, b *metav1.ObjectMeta) bool {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c < 0
	}
	return a.Name < b.Name
}
