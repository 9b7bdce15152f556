// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

const (
	// serialSlack, in seconds: both servers count from the last change that each has seen.
	serialSlack = 30
	// ownPayload is kbdnsd's default max-udp-size.
	ownPayload = 1232
	// chainMax is how many CNAMEs are followed.
	chainMax = 11
)

// accepted is a difference from the reference that is meant. explains returns the parts of the
// difference that it is the reason for, 0 if it does not apply. Every rule rests on a paragraph
// of the semantics or on an RFC, and is as narrow as can be said: it names what the engine must
// have answered, from the objects where that takes them.
type accepted struct {
	name, reason, basis string
	explains            func(p *pair, d difference) difference
}

const (
	contents = diffAnswer | diffAuthority | diffAdditional
	denial   = diffRcode | diffAA | contents
)

var acceptedList = []accepted{
	{"opt-size", "our OPT record carries our own maximum payload", "decision on OPT; RFC 6891 6.2.3",
		func(p *pair, d difference) difference {
			return bit(p.our.opt != nil && p.our.opt.UDPSize() == ownPayload, diffOptSize)
		}},
	{"opt-options", "no option is sent back, CoreDNS echoes NSID, COOKIE, EXPIRE, KEEPALIVE, PADDING", "decision on OPT",
		func(p *pair, d difference) difference {
			return bit(p.q.options && p.our.opt != nil && len(p.our.opt.Option) == 0, diffOptOptions)
		}},
	{"opt-flags", "flags that nobody has defined are not copied", "RFC 6891 6.1.4",
		func(p *pair, d difference) difference {
			return bit(p.our.opt != nil && p.our.opt.Hdr.Ttl&0x7fff == 0 && p.our.opt.Do() == p.q.do, diffOptFlags)
		}},
	{"name-case", "targets in the case of the objects or, behind a compression pointer, of the question", "RFC 4343; section 8",
		func(p *pair, d difference) difference {
			var e difference
			for i, s := range [3]difference{diffAnswer, diffAuthority, diffAdditional} {
				want := folded(p.wanted(i))
				e |= bit(d&s != 0 && ownersAsAsked(p) && (equalSets(folded(p.our.sections[i]), want) ||
					p.our.m.Truncated && subset(folded(p.our.sections[i]), want)), s)
			}
			return e
		}},
	{"outside", "what is nobody's here is REFUSED, CoreDNS without a next plugin says SERVFAIL", "section 1",
		func(p *pair, d difference) difference {
			return bit((p.q.zone == "" || p.cat.through[p.q.zone]) && p.our.rcode == dns.RcodeRefused && p.ref.rcode == dns.RcodeServerFailure &&
				len(p.our.m.Answer)+len(p.our.m.Ns) == 0, diffRcode)
		}},
	{"nodata", "a name that exists without the type, or above others, is NODATA", "decision 6; RFC 8020, RFC 2308",
		func(p *pair, d difference) difference {
			// Hidden by their labels, namespaces keep their PTRs (section 12).
			if p.cat.all.find(p.q.name) == nil || p.our.rcode != dns.RcodeSuccess || len(p.our.m.Answer) > 0 {
				return 0
			}
			// Where the zone falls through, to nobody here, CoreDNS's NXDOMAIN has become SERVFAIL.
			through := p.cat.through[p.q.zone] && p.ref.rcode == dns.RcodeServerFailure && p.onlySOA()
			return bit(p.ref.rcode == dns.RcodeNameError, diffRcode) | bit(through, diffRcode|diffAA|diffAuthority)
		}},
	{"cname", "the CNAME, then what the name that it leads to has, for every type, and its rcode", "decision 7; RFC 1034 3.6.2, RFC 6604",
		func(p *pair, d difference) difference {
			return bit(p.ref.rcode == dns.RcodeSuccess && subset(folded(p.ref.sections[0]), folded(p.our.sections[0])) &&
				p.rightChain(), diffRcode|contents)
		}},
	{"cname-depth", "a chain of more than eleven CNAMEs ends there", "section 5, depth limit",
		func(p *pair, d difference) difference {
			chain, _ := p.cat.chase(p.q.name)
			if len(chain) <= chainMax || len(p.our.m.Answer) != chainMax || p.our.rcode != dns.RcodeSuccess ||
				len(p.our.m.Ns)+len(p.our.sections[2]) > 0 {
				return 0
			}
			for i, rr := range p.our.m.Answer {
				if c, ok := rr.(*dns.CNAME); !ok || !strings.EqualFold(c.Target, chain[i]) {
					return 0
				}
			}
			return contents
		}},
	{"fqdn-slice", "slices of address type FQDN are passed over; CoreDNS makes a CNAME beside other records", "section 3; RFC 1034 3.6.2",
		func(p *pair, d difference) difference {
			var keep []string
			for _, rr := range p.ref.m.Answer {
				if _, isCNAME := rr.(*dns.CNAME); !isCNAME || !p.cat.fqdn[strings.ToLower(rr.Header().Name)] {
					keep = append(keep, rr.String())
				}
			}
			right := len(keep) < len(p.ref.m.Answer) && equalSets(folded(keep), folded(p.our.sections[0]))
			empty := len(keep) == 0 && (p.denied() || p.our.rcode == dns.RcodeSuccess && p.onlySOA())
			return bit(right && len(keep) > 0, diffAnswer|bit(len(p.our.m.Ns) == 1, diffAuthority)) | bit(right && empty, diffAnswer|diffAuthority|diffRcode)
		}},
	{"cname-address", "an externalName that looks like an address is a CNAME all the same", "decision 8",
		func(p *pair, d difference) difference {
			chain, _ := p.cat.chase(p.q.name)
			if len(chain) == 0 {
				return 0
			}
			_, err := netip.ParseAddr(strings.TrimSuffix(chain[len(chain)-1], "."))
			return bit(err == nil && p.rightChain(), contents|diffRcode)
		}},
	{"own-name-case", "the server's own names in any case", "section 8; RFC 4343",
		func(p *pair, d difference) difference {
			own := p.q.entry != nil && (p.q.entry.kind == kindApex && p.q.qtype == dns.TypeNS ||
				strings.HasPrefix(p.q.name, "ns.dns.") && (p.q.qtype == dns.TypeA || p.q.qtype == dns.TypeAAAA))
			return bit(own && p.mixedCase() && len(p.ref.m.Answer) == 0 && len(p.our.m.Answer) > 0, contents|diffRcode)
		}},
	{"soa-nowhere", "SOA at a name that does not exist is NXDOMAIN", "section 9 step 7; RFC 8020",
		func(p *pair, d difference) difference {
			nowhere := p.q.entry == nil || p.q.entry.kind == kindEmpty && p.cat.through[p.q.zone]
			return bit(p.q.qtype == dns.TypeSOA && p.q.zone != "" && nowhere && p.denied() &&
				p.ref.rcode == dns.RcodeSuccess && len(p.ref.m.Answer) == 0, denial)
		}},
	{"reverse-ns", "the name servers of a reverse zone lie in the cluster's zone", "section 1, row of NS",
		func(p *pair, d difference) difference {
			wrong := func(s []string) []string {
				out := make([]string, len(s))
				for i := range s {
					out[i] = strings.ReplaceAll(strings.ToLower(s[i]), ".svc."+p.q.zone, ".svc."+p.cat.zones[0])
				}
				return sorted(out)
			}
			return bit(p.q.qtype == dns.TypeNS && strings.HasSuffix(p.q.name, ".arpa.") && p.q.name == p.q.zone &&
				equalSets(wrong(p.ref.sections[0]), folded(p.our.sections[0])) &&
				equalSets(wrong(p.ref.sections[2]), folded(p.our.sections[2])), diffAnswer|diffAdditional)
		}},
	{"ptr-nowhere", "no PTR to a name that does not exist: slices without a Service, or of an ExternalName", "section 3, slice without its Service",
		func(p *pair, d difference) difference {
			var keep []string
			for _, rr := range p.ref.m.Answer {
				// Hidden by their labels, namespaces keep their PTRs (section 12).
				if t, ok := rr.(*dns.PTR); ok && p.cat.all.find(strings.ToLower(t.Ptr)) != nil {
					keep = append(keep, rr.String())
				}
			}
			right := equalSets(sorted(keep), p.our.sections[0]) && len(keep) < len(p.ref.m.Answer)
			return bit(p.q.qtype == dns.TypePTR && right && (len(keep) > 0 || p.denied()), denial)
		}},
	{"pod-srv", "Pods have no ports", "section 7, row Q",
		func(p *pair, d difference) difference {
			return bit(p.q.entry != nil && p.q.entry.kind == kindPod && p.q.qtype == dns.TypeSRV && p.our.rcode == dns.RcodeSuccess &&
				p.onlySOA(), contents)
		}},
	{"pod-labels", "labels in front of a Pod's name are none of it", "decisions: quirks not copied",
		func(p *pair, d difference) difference {
			above := p.cat.find(parent(p.q.name))
			if above == nil && strings.Count(p.q.name, ".") > 2 {
				above = p.cat.find(parent(parent(p.q.name)))
			}
			return bit(p.q.entry == nil && above != nil && above.kind == kindPod && p.denied(), denial)
		}},
	{"no-endpoints-ns", "the cluster's DNS Service is known without its endpoints", "section 1, row of NS",
		func(p *pair, d difference) difference {
			if !p.cat.rules.noEndpoints || p.q.entry == nil || len(p.our.m.Answer) == 0 {
				return 0
			}
			chain, _ := p.cat.chase(p.q.name)
			if len(chain) > 0 && strings.HasPrefix(chain[len(chain)-1], "ns.dns.") {
				return bit(p.rightChain(), contents)
			}
			ns, isNS := p.our.m.Answer[0].(*dns.NS)
			return bit(isNS && p.q.entry.kind == kindApex && strings.HasPrefix(strings.ToLower(ns.Ns), "kube-dns.kube-system.svc.") ||
				strings.HasPrefix(p.q.name, "ns.dns."), contents)
		}},
	{"port-address", "names of ports have no addresses", "section 4, row Q",
		func(p *pair, d difference) difference {
			return bit(p.q.entry != nil && p.q.entry.kind == kindPort && (p.q.qtype == dns.TypeA || p.q.qtype == dns.TypeAAAA) &&
				p.our.rcode == dns.RcodeSuccess && len(p.our.m.Answer) == 0 && len(p.our.m.Ns) == 1, diffAnswer|diffAuthority)
		}},
	{"port-form", "ports are named _port._proto and in no other way", "section 4, row Q",
		func(p *pair, d difference) difference {
			l := p.q.labels
			if len(l) < 3 || p.q.entry != nil {
				return 0
			}
			above := p.cat.find(parent(parent(p.q.name)))
			loose := func(s string) bool { return s == "_" || !strings.HasPrefix(s, "_") }
			return bit(above != nil && (above.kind == kindService || above.kind == kindHeadless) && (loose(l[0]) || loose(l[1])) &&
				p.denied() && p.ref.rcode == dns.RcodeSuccess, denial)
		}},
	{"srv-glue", "every address of an SRV target, also from slices without the port", "section 4, row of additionals",
		func(p *pair, d difference) difference {
			return bit(p.q.qtype == dns.TypeSRV && d&contents == diffAdditional && p.rightGlue(false), diffAdditional)
		}},
	{"far-glue", "no additional records behind the reach of compression pointers", "section 4, row of additionals; RFC 2782",
		func(p *pair, d difference) difference {
			return bit(p.tcp && p.q.qtype == dns.TypeSRV && len(p.ref.wire) > 0x3fff && d&contents == diffAdditional && p.rightGlue(true), diffAdditional)
		}},
	{"reverse-forward", "reverse zones hold addresses only, no svc and pod", "section 6",
		func(p *pair, d difference) difference {
			below := "." + strings.TrimSuffix(p.q.name, p.q.zone)
			return bit(strings.HasSuffix(p.q.zone, ".arpa.") && (strings.HasSuffix(below, ".svc.") || strings.HasSuffix(below, ".pod.")) &&
				p.denied() && p.ref.rcode == dns.RcodeSuccess, denial)
		}},
	{"too-long", "truncated where our whole answer is longer than the client takes, or than our own maximum", "decision on OPT; DESIGN 5",
		func(p *pair, d difference) difference {
			return bit(p.our.m.Truncated && !p.ref.m.Truncated && p.ourTCP > min(p.q.limit(), ownPayload), diffTC)
		}},
	{"compact", "our form is shorter and fits where CoreDNS's does not", "RFC 1035 4.1.4",
		func(p *pair, d difference) difference {
			return bit(!p.our.m.Truncated && p.ref.m.Truncated && p.full != nil && len(p.our.wire) <= p.q.limit(), diffTC)
		}},
	{"bare-error", "FORMERR and NOTIMP are the bare header, with no flag of the query but RD and CD", "section 11",
		func(p *pair, d difference) difference {
			bare := p.our.rcode == dns.RcodeFormatError || p.our.rcode == dns.RcodeNotImplemented
			return bit(bare && p.our.rcode == p.ref.rcode && len(p.our.wire) == 12,
				diffQuestion|diffTC|diffRA|diffAD|diffZ|diffRD|diffCD|diffOpt)
		}},
	{"notify", "NOTIFY is not served", "section 11, row of opcodes",
		func(p *pair, d difference) difference {
			return bit(p.q.opcode == dns.OpcodeNotify && p.our.rcode == dns.RcodeNotImplemented && len(p.our.wire) == 12,
				diffQuestion|diffRcode|diffAA|diffRD|diffRA|diffAD|diffCD|diffZ|contents|diffOpt)
		}},
	{"cut", "a message that ends within its question or before a record that it counts is FORMERR", "section 11, row of FORMERR",
		func(p *pair, d difference) difference {
			return bit(p.q.odd == "cut" && p.our.rcode == dns.RcodeFormatError && len(p.our.wire) == 12,
				diffQuestion|diffRcode|diffAA|contents|diffOpt)
		}},
	{"ns-dns", "ns.dns is a name of the zone only right below it", "section 9 step 3",
		func(p *pair, d difference) difference {
			return bit(strings.HasPrefix(p.q.name, "ns.dns.") && p.q.zone != "" && p.q.entry == nil &&
				p.denied(), denial)
		}},
	{"meta-type", "types that no record has (OPT, TSIG, TKEY, MAILA, MAILB, 0) are NOTIMP", "RFC 6895 3.1",
		func(p *pair, d difference) difference {
			meta := p.q.qtype == 0 || p.q.qtype == dns.TypeOPT || p.q.qtype >= 128 && p.q.qtype < dns.TypeANY
			return bit(meta && p.our.rcode == dns.RcodeNotImplemented && len(p.our.m.Answer)+len(p.our.m.Ns) == 0,
				diffRcode|diffAA|diffAuthority|diffAnswer)
		}},
	{"long-reverse", "labels in front of a whole IPv6 address are none of its name", "decisions: quirks not copied",
		func(p *pair, d difference) difference {
			return bit(p.q.zone == "ip6.arpa." && len(p.q.labels) > 34 && p.denied(), denial)
		}},
}

// denied: the engine says that the name does not exist, or where the zone falls through, that it
// is nobody's.
func (p *pair) denied() bool {
	left := p.cat.through[p.q.zone] && p.our.rcode == dns.RcodeRefused && len(p.our.m.Ns) == 0
	return len(p.our.m.Answer) == 0 && (left || p.our.rcode == dns.RcodeNameError && p.onlySOA())
}

// ownersAsAsked: records that stand at the question's name bear it byte for byte.
func ownersAsAsked(p *pair) bool {
	if len(p.our.m.Question) != 1 {
		return false
	}
	asked := p.our.m.Question[0].Name
	for _, rr := range p.our.m.Answer {
		if n := rr.Header().Name; strings.EqualFold(n, asked) && n != asked {
			return false
		}
	}
	return true
}

// onlySOA: a negative answer of the question's zone.
func (p *pair) onlySOA() bool {
	if len(p.our.m.Ns) != 1 || len(p.our.m.Answer) > 0 || !p.our.m.Authoritative {
		return false
	}
	soa, ok := p.our.m.Ns[0].(*dns.SOA)
	return ok && strings.EqualFold(soa.Hdr.Name, p.q.zone)
}

func folded(records []string) []string {
	out := make([]string, len(records))
	for i, s := range records {
		out[i] = strings.ToLower(s)
	}
	return sorted(out)
}

func (p *pair) mixedCase() bool {
	s := strings.Join(p.q.labels, ".")
	return s != strings.ToLower(s)
}

// rightChain: the engine's answer is the chain of CNAMEs that the objects give, and then what
// the reference says of the name at its end, asked for that directly.
func (p *pair) rightChain() bool {
	chain, end := p.cat.chase(p.q.name)
	if len(chain) == 0 {
		return false
	}
	if p.q.qtype == dns.TypeCNAME {
		chain, end = chain[:1], endOutside
	}
	var records []string
	var owner string
	targets := map[string]string{} // a truncated answer may lack the rest
	for _, rr := range p.our.m.Answer {
		if c, ok := rr.(*dns.CNAME); ok {
			targets[strings.ToLower(rr.Header().Name)] = strings.ToLower(c.Target)
			continue
		}
		records = append(records, rr.String())
		owner = strings.ToLower(rr.Header().Name)
	}
	at := p.q.name
	for _, t := range chain {
		if targets[at] != t {
			return false
		}
		at = t
	}
	last := chain[len(chain)-1]
	if len(targets) != len(chain) || owner != "" && owner != last {
		return false
	}
	switch end {
	case endOutside, endLoop:
		return p.our.rcode == dns.RcodeSuccess && len(records)+len(p.our.m.Ns)+len(p.our.sections[2]) == 0
	case endMissing:
		return p.our.rcode == dns.RcodeNameError && len(records)+len(p.our.sections[2]) == 0 && len(p.our.m.Ns) == 1
	}
	if e := p.cat.find(last); e.kind == kindPod && p.q.qtype == dns.TypeSRV {
		// The same as for a Pod asked directly, see pod-srv.
		return p.our.rcode == dns.RcodeSuccess && len(records) == 0 && len(p.our.m.Ns) == 1
	}
	if p.cat.rules.noEndpoints && strings.HasPrefix(last, "ns.dns.") {
		return p.our.rcode == dns.RcodeSuccess && len(records) == 1 && len(p.our.m.Ns) == 0
	}
	there := p.askReference(last, p.q.qtype)
	if p.our.rcode != dns.RcodeSuccess || there.m == nil || !equalSets(folded(records), folded(there.sections[0])) ||
		!equalSets(folded(p.our.sections[2]), folded(there.sections[2])) {
		return false
	}
	return len(p.our.m.Ns) == len(there.m.Ns)
}

// rightGlue: the additional section holds what the reference has, and of each SRV target what
// the reference answers when it is asked for that, or some of it.
func (p *pair) rightGlue(some bool) bool {
	var want []string
	asked := map[string]bool{}
	for _, rr := range p.our.m.Answer {
		srv, ok := rr.(*dns.SRV)
		if !ok {
			return false
		}
		if asked[srv.Target] {
			continue
		}
		asked[srv.Target] = true
		for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
			want = append(want, folded(p.askReference(strings.ToLower(srv.Target), t).sections[0])...)
		}
	}
	have := folded(p.our.sections[2])
	return subset(have, want) && (some || subset(want, have) && subset(folded(p.wanted(2)), have))
}

type acceptance struct {
	used []int
}

func newAcceptance() *acceptance { return &acceptance{make([]int, len(acceptedList))} }

// judge removes from d what is accepted.
func (a *acceptance) judge(p *pair, d difference) difference {
	if d&(diffSilence|diffBroken) != 0 || p.our.m == nil || p.ref.m == nil {
		return d
	}
	for i, rule := range acceptedList {
		if e := rule.explains(p, d) & d; e != 0 {
			a.used[i]++
			d &^= e
		}
	}
	return d
}
