// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Which names there should be, drawn from the objects. It steers the questions, and narrows the
// accepted differences; it decides about no answer.

type kind int

const (
	kindApex kind = iota
	kindFixed
	kindNamespace
	kindService
	kindHeadless
	kindEndpoint
	kindPort
	kindExternal
	kindReverse
	kindPod
	kindPodNamespace
	kindEmpty // exists only because of the names below it
)

type entry struct {
	name  string // lower case, with a final dot
	kind  kind
	types []uint16 // those that it should have
	svc   *corev1.Service
}

type catalog struct {
	zones   []string
	through map[string]bool // zones whose unknown names are somebody else's
	rules   *rules
	all     *catalog // the same without a filter by the namespaces' labels
	st      *state
	entries []entry
	byKind  map[kind][]int
	byName  map[string]*entry // also the empty ones
	byIP    map[netip.Addr]bool
	fqdn    map[string]bool // Services with slices of the deprecated address type FQDN
}

// rules are the options of the kubernetes block that both servers run with.
type rules struct {
	pods           string
	podNames       bool     // endpoint_pod_names
	namespaces     []string // only these
	tier           string   // only namespaces with this label
	onlyShown      bool     // only objects with the label shown=yes
	noEndpoints    bool
	ignoreEmpty    bool
	zones, through string
}

func (r *rules) shown(labels map[string]string) bool { return !r.onlyShown || labels["shown"] == "yes" }

func newCatalog(st *state, r *rules) *catalog {
	zones, through := strings.Fields(r.zones), strings.Fields(r.through)
	c := &catalog{zones: zones, through: map[string]bool{}, rules: r, st: st, byKind: map[kind][]int{}, byName: map[string]*entry{}, byIP: map[netip.Addr]bool{}, fqdn: map[string]bool{}}
	c.all = c
	if r.tier != "" {
		whole := *r
		whole.tier = ""
		c.all = newCatalog(st, &whole)
	}
	for _, z := range through {
		c.through[z] = true
	}
	for _, z := range zones {
		c.add(z, kindApex, nil, dns.TypeSOA, dns.TypeNS)
		if !strings.HasSuffix(z, ".arpa.") {
			c.forward(z)
		}
	}
	c.reverse()
	for i := range c.entries {
		e := &c.entries[i]
		c.byName[e.name] = e
		c.byKind[e.kind] = append(c.byKind[e.kind], i)
	}
	// Empty non-terminals.
	for i := range c.entries {
		z := c.zone(c.entries[i].name)
		for n := parent(c.entries[i].name); z != "" && len(n) > len(z); n = parent(n) {
			if c.byName[n] == nil {
				c.byName[n] = &entry{name: n, kind: kindEmpty}
			}
		}
	}
	return c
}

func parent(name string) string { return name[strings.IndexByte(name, '.')+1:] }

// zone returns the zone that a name lies in, or "".
func (c *catalog) zone(name string) string {
	best := ""
	for _, z := range c.zones {
		if dns.IsSubDomain(z, name) && len(z) > len(best) {
			best = z
		}
	}
	return best
}

func (c *catalog) add(name string, k kind, svc *corev1.Service, types ...uint16) {
	c.entries = append(c.entries, entry{name, k, types, svc})
}

func (c *catalog) forward(z string) {
	c.add("svc."+z, kindFixed, nil)
	c.add("pod."+z, kindFixed, nil)
	c.pods(z)
	c.add("dns-version."+z, kindFixed, nil, dns.TypeTXT)
	c.add("ns.dns."+z, kindFixed, nil, dns.TypeA, dns.TypeAAAA)
	for i := range c.st.namespaces {
		if !c.exposed(c.st.namespaces[i].Name) {
			continue
		}
		c.add(c.st.namespaces[i].Name+".svc."+z, kindNamespace, nil)
		if c.rules.pods != podsDisabled {
			c.add(c.st.namespaces[i].Name+".pod."+z, kindPodNamespace, nil)
		}
	}
	bySvc := map[string][]*discoveryv1.EndpointSlice{}
	for i := range c.st.slices {
		sl := &c.st.slices[i]
		if c.rules.noEndpoints || !c.rules.shown(sl.Labels) {
			continue
		}
		if sl.AddressType == discoveryv1.AddressTypeFQDN {
			c.fqdn[sl.Labels[discoveryv1.LabelServiceName]+"."+sl.Namespace+".svc."+z] = true
			continue
		}
		k := sl.Namespace + "/" + sl.Labels[discoveryv1.LabelServiceName]
		bySvc[k] = append(bySvc[k], sl)
	}
	for i := range c.st.services {
		s := &c.st.services[i]
		if !c.exposed(s.Namespace) || !c.rules.shown(s.Labels) {
			continue
		}
		c.service(z, s, bySvc[s.Namespace+"/"+s.Name])
	}
}

func (c *catalog) exposed(ns string) bool {
	if len(c.rules.namespaces) > 0 {
		return slices.Contains(c.rules.namespaces, ns)
	}
	if c.rules.tier == "" {
		return true
	}
	for i := range c.st.namespaces {
		if c.st.namespaces[i].Name == ns {
			return c.st.namespaces[i].Labels["tier"] == c.rules.tier
		}
	}
	return false
}

func ready(e *discoveryv1.Endpoint) bool { return e.Conditions.Ready == nil || *e.Conditions.Ready }

// dashed is the name of an endpoint that has none of its own.
func dashed(address string) string {
	s := strings.NewReplacer(".", "-", ":", "-").Replace(address)
	if strings.HasSuffix(s, "-") {
		s += "0"
	}
	return s
}

func (c *catalog) endpointName(e *discoveryv1.Endpoint, address string) string {
	if e.Hostname != nil && *e.Hostname != "" {
		return *e.Hostname
	}
	if c.rules.podNames && e.TargetRef != nil && e.TargetRef.Name != "" && len(e.TargetRef.Name) < 64 {
		return e.TargetRef.Name
	}
	return dashed(address)
}

func (c *catalog) service(z string, s *corev1.Service, held []*discoveryv1.EndpointSlice) {
	base := s.Name + "." + s.Namespace + ".svc." + z
	addrTypes := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV}
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		c.add(base, kindExternal, s, dns.TypeCNAME, dns.TypeA, dns.TypeAAAA)
		return
	}
	endpoints, ports := map[string]bool{}, map[string]bool{}
	for _, sl := range held {
		some := false
		for i := range sl.Endpoints {
			e := &sl.Endpoints[i]
			if !ready(e) {
				continue
			}
			some = true
			for _, a := range e.Addresses {
				endpoints[c.endpointName(e, a)] = true
			}
		}
		for _, p := range sl.Ports {
			if some && p.Name != nil && p.Protocol != nil && s.Spec.ClusterIP == corev1.ClusterIPNone {
				ports["_"+*p.Name+"._"+strings.ToLower(string(*p.Protocol))] = true
			}
		}
	}
	k := kindHeadless
	if s.Spec.ClusterIP != corev1.ClusterIPNone {
		k = kindService
		for _, p := range s.Spec.Ports {
			ports["_"+p.Name+"._"+strings.ToLower(string(p.Protocol))] = true
		}
	} else if len(endpoints) == 0 {
		return
	}
	if k == kindService && c.rules.ignoreEmpty && len(endpoints) == 0 {
		return
	}
	c.add(base, k, s, addrTypes...)
	for _, e := range keys(endpoints) {
		c.add(e+"."+base, kindEndpoint, s, addrTypes...)
	}
	for _, p := range keys(ports) {
		// A name of 63 characters has no room for the underscore, and without one there is none.
		if l := strings.IndexByte(p, '.'); l > 1 && l <= 63 {
			c.add(p+"."+base, kindPort, s, dns.TypeSRV, dns.TypeSRV, dns.TypeSRV, dns.TypeA)
		}
	}
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func (c *catalog) reverse() {
	add := func(text string) {
		if a, err := netip.ParseAddr(text); err == nil {
			c.byIP[a] = true
		}
	}
	services := map[string]bool{}
	for i := range c.st.services {
		s := &c.st.services[i]
		if !c.exposed(s.Namespace) || !c.rules.shown(s.Labels) {
			continue
		}
		services[s.Namespace+"/"+s.Name] = s.Spec.Type != corev1.ServiceTypeExternalName
		for _, a := range s.Spec.ClusterIPs {
			add(a)
		}
	}
	for i := range c.st.slices {
		sl := &c.st.slices[i]
		if c.rules.noEndpoints || !c.rules.shown(sl.Labels) {
			continue
		}
		if !services[sl.Namespace+"/"+sl.Labels[discoveryv1.LabelServiceName]] {
			continue
		}
		for j := range sl.Endpoints {
			if ready(&sl.Endpoints[j]) {
				for _, a := range sl.Endpoints[j].Addresses {
					add(a)
				}
			}
		}
	}
	var names []string
	for a := range c.byIP {
		n, _ := dns.ReverseAddr(a.String())
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if c.zone(n) != "" {
			c.add(n, kindReverse, nil, dns.TypePTR)
		}
	}
}

type chainEnd int

const (
	endThere   chainEnd = iota // at a name in a zone that exists
	endMissing                 // at one that does not
	endOutside                 // outside all zones
	endLoop
)

// chase follows ExternalNames from a name: the targets in order, and where they end.
func (c *catalog) chase(name string) ([]string, chainEnd) {
	var chain []string
	seen := map[string]bool{name: true}
	for {
		e := c.find(name)
		if c.zone(name) == "" {
			return chain, endOutside
		}
		if e == nil {
			return chain, endMissing
		}
		if e.kind != kindExternal {
			return chain, endThere
		}
		name = strings.ToLower(strings.TrimSuffix(e.svc.Spec.ExternalName, ".")) + "."
		chain = append(chain, name)
		if seen[name] {
			return chain, endLoop
		}
		seen[name] = true
	}
}
