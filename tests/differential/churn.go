// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Changes between two rounds of questions: everything that may happen to an object in place,
// and objects that come and go in either order.

type churn struct {
	c    *cluster
	g    *generator
	used map[string]bool // namespaces that something is put into in this step
}

// newChurn goes on after the first filling and earlier runs on the same cluster (part 1, 2...),
// with names and addresses of its own.
func newChurn(c *cluster, r *rand.Rand, st *state, part int) *churn {
	g := newGenerator(r)
	g.serial, g.ip4, g.ip6 = 20000*part, 0x1000*part, 0x1000*part
	for i := range st.namespaces {
		g.namespaces = append(g.namespaces, st.namespaces[i].Name)
	}
	for i := range st.services {
		g.targets = append(g.targets, st.services[i].Name+"."+st.services[i].Namespace+".svc.cluster.local")
	}
	for i := range st.slices {
		if fixed(&st.slices[i].ObjectMeta) {
			continue // the server's own address makes another Service a name server of the zone
		}
		for _, e := range st.slices[i].Endpoints {
			if a, err := netip.ParseAddr(e.Addresses[0]); err == nil {
				g.addresses = append(g.addresses, a)
			}
		}
	}
	return &churn{c: c, g: g}
}

// fixed objects are other parts of the test, or the API server's own.
func fixed(m *metav1.ObjectMeta) bool {
	return m.Namespace == "kube-system" && (m.Name == "kube-dns" || m.Labels[discoveryv1.LabelServiceName] == "kube-dns") ||
		m.Namespace == "default" && m.Name == "kubernetes" || m.Namespace == checkNamespace
}

// step makes n changes. st is not up to date afterwards.
func (ch *churn) step(ctx context.Context, st *state, n int) error {
	r := ch.g.r
	ch.used = map[string]bool{"default": true, checkNamespace: true}
	svcs, pods := r.Perm(len(st.services)), r.Perm(len(st.pods))
	sls := r.Perm(len(st.slices))
	for i := 0; i < n; i++ {
		var svc *corev1.Service
		var sl *discoveryv1.EndpointSlice
		for len(svcs) > 0 && svc == nil { // each object at most once: its version is known only then
			if s := &st.services[svcs[0]]; !fixed(&s.ObjectMeta) {
				svc = s
			}
			svcs = svcs[1:]
		}
		for len(sls) > 0 && sl == nil {
			if s := &st.slices[sls[0]]; !fixed(&s.ObjectMeta) {
				sl = s
			}
			sls = sls[1:]
		}
		if svc == nil || sl == nil {
			return nil
		}
		var err error
		switch k := r.Intn(20); {
		case k < 4:
			err = ch.add(ctx)
		case k < 6:
			err = ch.dropService(ctx, st, svc)
		case k < 11:
			err = ch.service(ctx, svc)
		case k < 16:
			err = ch.slice(ctx, st, sl)
		case k < 17:
			ns := pick(r, ch.g.namespaces)
			ch.used[ns] = true
			err = ch.c.createPod(ctx, ch.g.pod(ns))
		case k < 18 && len(pods) > 0:
			if p := &st.pods[pods[0]]; !fixed(&p.ObjectMeta) {
				err = ch.pod(ctx, p)
			}
			pods = pods[1:]
		default:
			err = ch.namespace(ctx, st)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add a Service and its slices, in either order.
func (ch *churn) add(ctx context.Context) error {
	s := ch.g.service(pick(ch.g.r, ch.g.namespaces))
	ch.used[s.Namespace] = true
	sls := ch.g.slices(s)
	first := ch.g.one(2)
	if first {
		if err := ch.c.createService(ctx, s); err != nil {
			return err
		}
	}
	for _, sl := range sls {
		if err := ch.c.createSlice(ctx, sl); err != nil {
			return err
		}
	}
	if !first {
		return ch.c.createService(ctx, s)
	}
	return nil
}

// dropService takes its slices along, or leaves them behind for a while.
func (ch *churn) dropService(ctx context.Context, st *state, s *corev1.Service) error {
	err := ch.c.api.CoreV1().Services(s.Namespace).Delete(ctx, s.Name, metav1.DeleteOptions{})
	if err != nil || ch.g.one(3) {
		return err
	}
	for i := range st.slices {
		sl := &st.slices[i]
		if sl.Namespace == s.Namespace && sl.Labels[discoveryv1.LabelServiceName] == s.Name {
			// One that another change of this step has removed already is no fault.
			_ = ch.c.api.DiscoveryV1().EndpointSlices(sl.Namespace).Delete(ctx, sl.Name, metav1.DeleteOptions{})
		}
	}
	return nil
}

// service changes one in place.
func (ch *churn) service(ctx context.Context, s *corev1.Service) error {
	g, spec := ch.g, &s.Spec
	switch {
	case spec.Type == corev1.ServiceTypeExternalName && g.one(2):
		spec.ExternalName = g.externalName()
	case spec.Type == corev1.ServiceTypeExternalName:
		spec.Type, spec.ExternalName = corev1.ServiceTypeClusterIP, ""
		spec.Ports = g.ports()
		if g.one(3) {
			spec.ClusterIP = corev1.ClusterIPNone
		}
		g.setFamilies(spec)
	case g.one(4):
		spec.Type, spec.ExternalName = corev1.ServiceTypeExternalName, g.externalName()
		spec.ClusterIP, spec.ClusterIPs, spec.IPFamilies, spec.IPFamilyPolicy = "", nil, nil, nil
		for i := range spec.Ports {
			spec.Ports[i].NodePort = 0
		}
		spec.AllocateLoadBalancerNodePorts, spec.ExternalTrafficPolicy, spec.InternalTrafficPolicy = nil, "", nil
	case g.one(3) && spec.ClusterIP != corev1.ClusterIPNone:
		ch.restack(spec)
	default:
		spec.Ports = g.ports()
		if spec.ClusterIP != corev1.ClusterIPNone && len(spec.Ports) == 0 {
			return nil
		}
	}
	_, err := ch.c.api.CoreV1().Services(s.Namespace).Update(ctx, s, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("service %s/%s: %w", s.Namespace, s.Name, err)
	}
	return nil
}

// restack goes from one family to two, or back.
func (ch *churn) restack(spec *corev1.ServiceSpec) {
	if len(spec.ClusterIPs) == 2 {
		spec.ClusterIPs, spec.IPFamilies = spec.ClusterIPs[:1], spec.IPFamilies[:1]
		spec.IPFamilyPolicy = ptr(corev1.IPFamilyPolicySingleStack)
		return
	}
	other := corev1.IPv6Protocol
	if spec.IPFamilies[0] == other {
		other = corev1.IPv4Protocol
	}
	spec.IPFamilies = append(spec.IPFamilies, other)
	spec.ClusterIPs = append(spec.ClusterIPs, ch.g.clusterIP(other == corev1.IPv6Protocol))
	spec.IPFamilyPolicy = ptr(corev1.IPFamilyPolicyRequireDualStack)
}

// slice changes one: its endpoints, or whose it is.
func (ch *churn) slice(ctx context.Context, st *state, sl *discoveryv1.EndpointSlice) error {
	g := ch.g
	api := ch.c.api.DiscoveryV1().EndpointSlices(sl.Namespace)
	v6 := sl.AddressType == discoveryv1.AddressTypeIPv6
	n := len(sl.Endpoints)
	k := g.r.Intn(12)
	if sl.AddressType == discoveryv1.AddressTypeFQDN {
		k = 0
	}
	switch {
	case k == 0:
		if err := api.Delete(ctx, sl.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("endpointslice %s/%s: %w", sl.Namespace, sl.Name, err)
		}
		return nil
	case k == 1:
		sl.Endpoints = nil
	case k == 2: // to another Service, as by a change of its label
		for _, i := range g.r.Perm(len(st.services)) {
			if s := &st.services[i]; s.Namespace == sl.Namespace && !fixed(&s.ObjectMeta) {
				sl.Labels[discoveryv1.LabelServiceName] = s.Name
				break
			}
		}
	case k < 5 || n == 0:
		sl.Endpoints = append(sl.Endpoints, g.endpoint(v6))
	case k < 7: // an address that comes back as somebody else, as of a pod that was replaced
		sl.Endpoints[g.r.Intn(n)].Addresses = []string{g.address(v6).String()}
	case k < 9:
		e := &sl.Endpoints[g.r.Intn(n)]
		e.Conditions.Ready = ptr(!ready(e))
	case k < 10:
		i := g.r.Intn(n)
		sl.Endpoints = slices.Delete(sl.Endpoints, i, i+1)
	default:
		sl.Endpoints[g.r.Intn(n)] = g.endpoint(v6)
	}
	// It may have gone with its Service.
	if _, err := api.Update(ctx, sl, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("endpointslice %s/%s: %w", sl.Namespace, sl.Name, err)
	}
	return nil
}

// namespace makes a new one, or removes one in which nothing is.
func (ch *churn) namespace(ctx context.Context, st *state) error {
	for i := range st.services {
		ch.used[st.services[i].Namespace] = true
	}
	for i := range st.slices {
		ch.used[st.slices[i].Namespace] = true
	}
	for i := range st.pods {
		ch.used[st.pods[i].Namespace] = true
	}
	if ch.g.one(2) {
		for _, i := range ch.g.r.Perm(len(st.namespaces)) {
			name := st.namespaces[i].Name
			at := slices.Index(ch.g.namespaces, name)
			// Those of Kubernetes itself come back.
			if at < 0 || ch.used[name] || len(name) > 5 && name[:5] == "kube-" {
				continue
			}
			ch.g.namespaces = slices.Delete(ch.g.namespaces, at, at+1)
			st.namespaces[i].Name = "default"
			return ch.c.deleteNamespace(ctx, name)
		}
	}
	return ch.c.createNamespace(ctx, ch.g.namespace())
}
