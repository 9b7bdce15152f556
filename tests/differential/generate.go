// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Objects of a made-up cluster, drawn from one seeded source: the same seed gives the same
// objects with the same addresses. All of it is valid, so that the API server takes it.

const (
	dnsIP4, dnsIP6       = "10.96.0.10", "fd00:10:96::a"
	dnsPodIP4, dnsPodIP6 = "10.244.0.200", "fd00:10:244:f::c8" // where CoreDNS itself listens
	longLabel            = "a123456789-b123456789-c123456789-d123456789-e123456789-f1234567"
)

type generator struct {
	r          *rand.Rand
	serial     int
	ip4, ip6   int // last cluster IP given out
	namespaces []string
	targets    []string // names that ExternalNames may lead to
	addresses  []netip.Addr
}

func newGenerator(r *rand.Rand) *generator {
	return &generator{r: r, ip4: 0x100, ip6: 0x100}
}

// one returns true once in n times.
func (g *generator) one(n int) bool { return g.r.Intn(n) == 0 }

func pick[T any](r *rand.Rand, v []T) T { return v[r.Intn(len(v))] }

func ptr[T any](v T) *T { return &v }

var words = []string{"web", "db", "kafka", "x", "a-b", "api", "tcp", "udp", "svc", "pod", "dns", "ns", "local",
	"cluster", "default", "any", "http", "endpoint", "in-addr", "arpa", "e--f", "n0", "zone"}

// label returns a name that no other object has; of a Service it must begin with a letter.
func (g *generator) label(letterFirst bool) string {
	g.serial++
	w := pick(g.r, words)
	switch g.r.Intn(8) {
	case 0:
		s := fmt.Sprintf("%s%d", longLabel, g.serial)
		return s[:63-len(fmt.Sprint(g.serial))] + fmt.Sprint(g.serial)
	case 1:
		if !letterFirst {
			return fmt.Sprintf("%d", g.serial)
		}
	case 2:
		return fmt.Sprintf("%s--%d-%s", w, g.serial, w)
	}
	return fmt.Sprintf("%s-%d", w, g.serial)
}

func (g *generator) namespace() *corev1.Namespace {
	name := g.label(false)
	g.namespaces = append(g.namespaces, name)
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"tier": pick(g.r, []string{"a", "b"})}}}
}

func (g *generator) clusterIP(v6 bool) string {
	if v6 {
		g.ip6++
		return fmt.Sprintf("fd00:10:96::%x", g.ip6)
	}
	g.ip4++
	return fmt.Sprintf("10.96.%d.%d", g.ip4>>8, g.ip4&255)
}

// families in the order of spec.ipFamilies.
func (g *generator) families() []corev1.IPFamily {
	v4, v6 := corev1.IPv4Protocol, corev1.IPv6Protocol
	switch g.r.Intn(10) {
	case 0, 1:
		return []corev1.IPFamily{v4, v6}
	case 2, 3:
		return []corev1.IPFamily{v6, v4}
	case 4:
		return []corev1.IPFamily{v6}
	}
	return []corev1.IPFamily{v4}
}

func (g *generator) setFamilies(s *corev1.ServiceSpec) {
	s.IPFamilies = g.families()
	s.IPFamilyPolicy = ptr(corev1.IPFamilyPolicySingleStack)
	if len(s.IPFamilies) == 2 {
		s.IPFamilyPolicy = ptr(corev1.IPFamilyPolicyRequireDualStack)
	}
	s.ClusterIPs = nil
	for _, f := range s.IPFamilies {
		if s.ClusterIP == corev1.ClusterIPNone {
			s.ClusterIPs = []string{corev1.ClusterIPNone}
			break
		}
		s.ClusterIPs = append(s.ClusterIPs, g.clusterIP(f == corev1.IPv6Protocol))
	}
	s.ClusterIP = s.ClusterIPs[0]
}

var portNames = []string{"http", "https", "dns", "dns-tcp", "metrics", "p", "1a", "tcp", "udp", longLabel}
var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

func (g *generator) ports() []corev1.ServicePort {
	n := 1 + g.r.Intn(3)
	if n == 1 && g.one(3) {
		return []corev1.ServicePort{{Port: int32(1 + g.r.Intn(65535)), Protocol: pick(g.r, protocols)}}
	}
	var ps []corev1.ServicePort
	for _, i := range g.r.Perm(len(portNames))[:n] {
		p := corev1.ServicePort{Name: portNames[i], Port: int32(1 + g.r.Intn(65535)), Protocol: pick(g.r, protocols)}
		if !samePort(ps, p) {
			ps = append(ps, p)
		}
	}
	// One number for two protocols, as DNS itself has it.
	if g.one(4) {
		other := ps[0]
		other.Name, other.Protocol = "other", corev1.ProtocolUDP
		if !samePort(ps, other) {
			ps = append(ps, other)
		}
	}
	return ps
}

func samePort(ps []corev1.ServicePort, p corev1.ServicePort) bool {
	for _, o := range ps {
		if o.Port == p.Port && o.Protocol == p.Protocol {
			return true
		}
	}
	return false
}

// externalName: into the cluster, through chains and loops, to what is not there, and out.
func (g *generator) externalName() string {
	const z = "cluster.local"
	switch g.r.Intn(12) {
	case 0:
		return pick(g.r, []string{"example.com", "www.example.net.", "cluster.local.example", "xcluster.local", "com"})
	case 1:
		return fmt.Sprintf("absent-%d.%s.svc.%s", g.r.Intn(9), pick(g.r, g.namespaces), z)
	case 2:
		return pick(g.r, []string{z, "svc." + z, "dns." + z, "ns.dns." + z, "dns-version." + z + ".",
			pick(g.r, g.namespaces) + ".svc." + z, "absent.svc." + z, "a.b.c.d.e.svc." + z, "nothing." + z,
			"kubernetes.default.svc." + z, "kubernetes.default.svc." + z + ".", "10-240-0-1.default.pod." + z,
			longLabel + "." + longLabel + "." + longLabel + ".svc." + z, longLabel + "." + longLabel + "." + longLabel + ".example.com"})
	case 3:
		if g.one(2) {
			return pick(g.r, []string{"10.1.2.3", "192.0.2.1", "1.2.3", "10.96.0.1."})
		}
	}
	if len(g.targets) == 0 {
		return "kubernetes.default.svc." + z
	}
	t := pick(g.r, g.targets)
	if g.one(4) {
		t += "."
	}
	return t
}

// service of any kind; its slices follow from slices().
func (g *generator) service(ns string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: g.label(true), Namespace: ns,
		Labels: map[string]string{"shown": pick(g.r, []string{"yes", "yes", "no"})}}}
	s.Spec.Type = corev1.ServiceTypeClusterIP
	s.Spec.Ports = g.ports()
	fqdn := s.Name + "." + ns + ".svc.cluster.local"
	switch n := g.r.Intn(20); {
	case n < 6:
		s.Spec.Type = corev1.ServiceTypeExternalName
		s.Spec.ExternalName = g.externalName()
		if g.one(20) {
			s.Spec.ExternalName = fqdn // a loop of one
		}
		if !g.one(3) {
			s.Spec.Ports = nil
		}
	case n < 13:
		s.Spec.ClusterIP = corev1.ClusterIPNone
		s.Spec.PublishNotReadyAddresses = g.one(4)
		if g.one(6) {
			s.Spec.Ports = nil
		}
		g.setFamilies(&s.Spec)
	default:
		s.Spec.Type = pick(g.r, []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeClusterIP,
			corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer})
		g.setFamilies(&s.Spec)
		if g.one(10) {
			s.Spec.ExternalIPs = []string{"192.0.2.77"}
		}
	}
	if g.one(2) && s.Spec.Type != corev1.ServiceTypeExternalName {
		s.Spec.Selector = map[string]string{"app": s.Name}
	}
	g.targets = append(g.targets, fqdn)
	return s
}

func (g *generator) address(v6 bool) netip.Addr {
	if len(g.addresses) > 0 && g.one(7) {
		if a := pick(g.r, g.addresses); a.Is6() == v6 {
			return a
		}
	}
	g.serial++
	var a netip.Addr
	if v6 {
		b := [16]byte{0xfd, 0, 0, 0x10, 0x02, 0x44}
		b[6+g.r.Intn(4)*2] = byte(g.r.Intn(3)) // runs of zeros in different places
		b[14], b[15] = byte(g.serial>>8), byte(g.serial)
		if g.one(10) {
			b[12], b[13], b[14], b[15] = byte(g.serial>>8), byte(g.serial), 0, 0 // ends in "::"
		}
		a = netip.AddrFrom16(b)
	} else {
		a = netip.AddrFrom4([4]byte{10, byte(240 + g.r.Intn(4)), byte(g.serial >> 8), byte(g.serial)})
	}
	g.addresses = append(g.addresses, a)
	return a
}

func (g *generator) endpoint(v6 bool) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{g.address(v6).String()}}
	if g.one(25) {
		e.Addresses = append(e.Addresses, g.address(v6).String())
	}
	yes, no := ptr(true), ptr(false)
	e.Conditions = pick(g.r, []discoveryv1.EndpointConditions{
		{Ready: yes}, {Ready: yes}, {Ready: yes, Serving: yes}, {}, {},
		{Ready: no}, {Ready: no, Serving: yes, Terminating: yes}, {Ready: yes, Terminating: yes}})
	switch g.r.Intn(6) {
	case 0:
		e.Hostname = ptr(pick(g.r, []string{"web-0", "web-1", "0", longLabel, "tcp"}))
	case 1:
		e.Hostname = ptr(g.label(false))
	case 2:
		if g.one(4) { // a hostname that looks like another endpoint's address
			e.Hostname = ptr("10-240-0-1")
		}
	}
	if g.one(2) {
		name := g.label(false)
		if g.one(8) {
			name = longLabel + "." + longLabel // longer than a label
		}
		e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: name}
	}
	return e
}

// slices of a Service, for each of its families; now and then a stray one.
func (g *generator) slices(s *corev1.Service) []*discoveryv1.EndpointSlice {
	if s.Spec.Type == corev1.ServiceTypeExternalName && !g.one(10) {
		return nil
	}
	families := s.Spec.IPFamilies
	if len(families) == 0 {
		families = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	var out []*discoveryv1.EndpointSlice
	for _, f := range families {
		var earlier []discoveryv1.Endpoint
		for n := g.r.Intn(4); n > 0; n-- {
			sl := g.slice(s, f == corev1.IPv6Protocol)
			if sl.AddressType == discoveryv1.AddressTypeFQDN {
				out = append(out, sl)
				continue
			}
			if len(earlier) > 0 && g.one(3) {
				sl.Endpoints = append(sl.Endpoints, pick(g.r, earlier))
			}
			earlier = append(earlier, sl.Endpoints...)
			out = append(out, sl)
		}
	}
	return out
}

func (g *generator) slice(s *corev1.Service, v6 bool) *discoveryv1.EndpointSlice {
	g.serial++
	sl := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
	if v6 {
		sl.AddressType = discoveryv1.AddressTypeIPv6
	}
	if g.one(40) {
		sl.AddressType = discoveryv1.AddressTypeFQDN
	}
	base := s.Name
	sl.ObjectMeta = metav1.ObjectMeta{Namespace: s.Namespace, Name: fmt.Sprintf("%s-s%d", base, g.serial),
		Labels: map[string]string{discoveryv1.LabelServiceName: s.Name, "shown": s.Labels["shown"]}}
	n := g.r.Intn(6)
	if g.one(15) {
		n = 20 + g.r.Intn(70) // more than fits a datagram
	}
	if sl.AddressType == discoveryv1.AddressTypeFQDN {
		sl.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"www.example.com"}}}
		n = 0
	}
	for ; n > 0; n-- {
		sl.Endpoints = append(sl.Endpoints, g.endpoint(v6))
	}
	if g.one(12) {
		return sl // without ports
	}
	for _, p := range s.Spec.Ports {
		port := discoveryv1.EndpointPort{Port: ptr(p.Port%60000 + 7), Protocol: ptr(p.Protocol)}
		if p.Name != "" || g.one(2) {
			port.Name = ptr(p.Name)
		}
		sl.Ports = append(sl.Ports, port)
	}
	return sl
}

// chain of ExternalNames, longer than CoreDNS follows.
func (g *generator) chain(ns string) []*corev1.Service {
	const length = 14
	var out []*corev1.Service
	for i := 0; i < length; i++ {
		target := "kubernetes.default.svc.cluster.local"
		if i > 0 {
			target = out[i-1].Name + "." + ns + ".svc.cluster.local"
		}
		out = append(out, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("chain-%d", i), Namespace: ns,
			Labels: map[string]string{"shown": "yes"}}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: target}})
	}
	return out
}

// dnsService is the cluster DNS itself: the addresses that clients ask, and CoreDNS's own.
func dnsService() (*corev1.Service, []*discoveryv1.EndpointSlice) {
	meta := metav1.ObjectMeta{Name: "kube-dns", Namespace: "kube-system", Labels: map[string]string{"shown": "yes"}}
	s := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: dnsIP4, ClusterIPs: []string{dnsIP4, dnsIP6},
		IPFamilies:     []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol},
		IPFamilyPolicy: ptr(corev1.IPFamilyPolicyRequireDualStack),
		Ports: []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP},
			{Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP}, {Name: "metrics", Port: 9153, Protocol: corev1.ProtocolTCP}},
	}}
	var slices []*discoveryv1.EndpointSlice
	for _, a := range []string{dnsPodIP4, dnsPodIP6} {
		sl := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: meta.Namespace, Name: "kube-dns-4",
			Labels: map[string]string{discoveryv1.LabelServiceName: meta.Name, "shown": "yes"}},
			AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{a}}}}
		if strings.Contains(a, ":") {
			sl.Name, sl.AddressType = "kube-dns-6", discoveryv1.AddressTypeIPv6
		}
		for _, p := range s.Spec.Ports {
			sl.Ports = append(sl.Ports, discoveryv1.EndpointPort{Name: ptr(p.Name), Port: ptr(p.Port), Protocol: ptr(p.Protocol)})
		}
		slices = append(slices, sl)
	}
	return s, slices
}
