// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Questions: for names that exist, for their neighbours, and odd ones.

type question struct {
	wire    []byte // its first two bytes are the ID, set when it is sent
	labels  []string
	name    string // lower case, with a final dot; "" if the message is no ordinary question
	qtype   uint16
	class   uint16
	opcode  int
	edns    bool
	tcp     bool // is also asked over TCP
	size    int  // EDNS payload size
	version byte
	options bool
	do      bool
	odd     string // what is unusual about the message, "" for nothing
	entry   *entry // what stands at the name, nil for nothing
	zone    string // that it lies in, "" for none
}

// limit is what fits a reply over UDP.
func (q *question) limit() int {
	if !q.edns {
		return 512
	}
	return max(512, q.size)
}

func (q *question) String() string {
	s := fmt.Sprintf("%s %s", strings.Join(q.labels, ".")+".", typeName(q.qtype))
	if q.class != dns.ClassINET {
		s += fmt.Sprintf(" class %d", q.class)
	}
	if q.edns {
		s += fmt.Sprintf(" edns %d", q.size)
	}
	if q.odd != "" {
		s += " (" + q.odd + ")"
	}
	return s
}

func typeName(t uint16) string {
	if s, ok := dns.TypeToString[t]; ok {
		return s
	}
	return fmt.Sprintf("TYPE%d", t)
}

type questioner struct {
	r   *rand.Rand
	cat *catalog
}

var otherTypes = []uint16{dns.TypeTXT, dns.TypeMX, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeANY, dns.TypeDS, dns.TypeNS,
	dns.TypeSOA, dns.TypeCNAME, dns.TypePTR, dns.TypeSRV, dns.TypeA, dns.TypeAAAA, dns.TypeDNSKEY, 65280}

func (qr *questioner) entryOf(k kind) *entry {
	list := qr.cat.byKind[k]
	if len(list) == 0 {
		return &qr.cat.entries[qr.r.Intn(len(qr.cat.entries))]
	}
	return &qr.cat.entries[list[qr.r.Intn(len(list))]]
}

var addressed = []uint16{dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT}

// addressed kinds, by how often they are asked.
var hostKinds = []kind{kindService, kindService, kindHeadless, kindHeadless, kindEndpoint}

func (qr *questioner) next() *question {
	q := qr.draw()
	q.tcp = qr.r.Intn(4) == 0
	return q
}

func (qr *questioner) draw() *question {
	r := qr.r
	switch n := r.Intn(1000); {
	case n < 160:
		return qr.ask(qr.entryOf(pick(r, hostKinds)).name, dns.TypeA)
	case n < 300:
		return qr.ask(qr.entryOf(pick(r, hostKinds)).name, dns.TypeAAAA)
	case n < 450:
		return qr.ask(qr.entryOf(pick(r, []kind{kindService, kindHeadless, kindEndpoint, kindPort, kindPort, kindPort})).name, dns.TypeSRV)
	case n < 580:
		return qr.ask(qr.entryOf(kindReverse).name, dns.TypePTR)
	case n < 660:
		return qr.ask(qr.entryOf(kindExternal).name, pick(r, []uint16{dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeCNAME}))
	case n < 840:
		return qr.ask(qr.neighbour(), pick(r, []uint16{dns.TypeA, dns.TypeA, dns.TypeAAAA, dns.TypeAAAA, dns.TypeSRV, dns.TypePTR, pick(r, otherTypes)}))
	case n < 870:
		e := qr.entryOf(kindPod)
		if r.Intn(2) == 0 {
			l := qr.podLabel()
			if r.Intn(8) == 0 {
				l = "x." + l
			}
			return qr.ask(l+"."+pick(r, qr.cat.st.namespaces).Name+".pod."+qr.cat.zones[0], pick(r, addressed))
		}
		return qr.ask(e.name, pick(r, addressed))
	case n < 940:
		return qr.ask(qr.cat.entries[r.Intn(len(qr.cat.entries))].name, pick(r, otherTypes))
	case n < 970:
		e := qr.entryOf(pick(r, []kind{kindApex, kindFixed, kindNamespace}))
		if len(e.types) > 0 && r.Intn(2) == 0 {
			return qr.ask(e.name, pick(r, e.types))
		}
		return qr.ask(e.name, pick(r, otherTypes))
	case n < 985:
		return qr.ask(pick(r, []string{"example.com.", "www.example.net.", "com.", ".", "local.", "xcluster.local.",
			"cluster.local.example.com.", "arpa.", "kubernetes.default.svc."}), pick(r, otherTypes))
	}
	return qr.odd()
}

// neighbour is a name close to one that exists.
func (qr *questioner) neighbour() string {
	r := qr.r
	e := &qr.cat.entries[r.Intn(len(qr.cat.entries))]
	z := qr.cat.zone(e.name)
	l := dns.SplitDomainName(strings.TrimSuffix(e.name, z))
	switch n := r.Intn(12); {
	case n < 3: // the search list's forms
		return e.name[:len(e.name)-1] + pick(r, []string{".default.svc.", ".svc.", ".", ".kube-system.svc."}) + qr.cat.zones[0]
	case n < 5:
		return pick(r, []string{"www.example.com", "github.com", "db", "a.b.c.d", "_http._tcp.example.com", "10-0-0-1"}) +
			pick(r, []string{".default.svc.", ".svc.", "."}) + qr.cat.zones[0]
	case n == 5 && len(l) > 0: // another label
		i := r.Intn(len(l))
		l[i] = pick(r, []string{"absent", l[i] + "x", "x" + l[i], l[i][:len(l[i])-1], "_", "*", "any", "svc", "pod", "_tcp", "_udp", "1", strings.Repeat("a", 63)})
		if l[i] == "" || len(l[i]) > 63 {
			l[i] = "y"
		}
	case n == 6 && len(l) > 0: // one label less
		i := r.Intn(len(l))
		l = append(l[:i:i], l[i+1:]...)
	case n == 7: // one more, anywhere
		i := r.Intn(len(l) + 1)
		l = append(l[:i:i], append([]string{pick(r, []string{"x", "_tcp", "_http", "web-0", "10-240-0-1", "0"})}, l[i:]...)...)
	case n == 8: // in another zone
		z = pick(r, qr.cat.zones)
	case n == 9 && len(l) > 1: // its suffixes
		l = l[1+r.Intn(len(l)-1):]
	case n == 10: // near an address
		return qr.nearAddress()
	default:
		return "absent." + e.name
	}
	if len(l) == 0 {
		return z
	}
	return strings.Join(l, ".") + "." + z
}

func (qr *questioner) nearAddress() string {
	r := qr.r
	if r.Intn(2) == 0 {
		a := netip.AddrFrom4([4]byte{10, byte(240 + r.Intn(4)), byte(r.Intn(20)), byte(r.Intn(256))})
		n, _ := dns.ReverseAddr(a.String())
		return pick(r, []string{n, n, n, "1." + n, "0" + n, "256." + parent(n), parent(n), "x." + n})
	}
	n, _ := dns.ReverseAddr(fmt.Sprintf("fd00:10:96::%x", r.Intn(0x400)))
	return pick(r, []string{n, n, n, "1." + n, "g." + parent(n), parent(n), "00." + parent(n)})
}

func (qr *questioner) ask(name string, qtype uint16) *question {
	q := &question{qtype: qtype, class: dns.ClassINET}
	q.labels = dns.SplitDomainName(name)
	qr.options(q)
	qr.finish(q)
	return q
}

// options of EDNS.
func (qr *questioner) options(q *question) {
	r := qr.r
	if r.Intn(3) == 0 {
		return
	}
	q.edns = true
	q.size = pick(r, []int{1232, 1232, 1232, 512, 4096, 4096, 1400, 100, 0, 65535})
}

// finish writes the message.
func (qr *questioner) finish(q *question) {
	r := qr.r
	b := make([]byte, 12)
	b[2] = byte(q.opcode << 3)
	if r.Intn(8) > 0 {
		b[2] |= 1 // RD
	}
	if r.Intn(10) == 0 {
		b[3] |= byte(r.Intn(16)) << 4 // RA, Z, AD, CD
	}
	if r.Intn(100) == 0 {
		b[2] |= byte(r.Intn(4)) << 1 // TC, AA
	}
	binary.BigEndian.PutUint16(b[4:], 1)
	mixed := r.Intn(3) == 0
	for i, l := range q.labels {
		if mixed {
			l = mixCase(r, l)
			q.labels[i] = l
		}
		b = append(append(b, byte(len(l))), l...)
	}
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, q.qtype)
	b = binary.BigEndian.AppendUint16(b, q.class)
	if q.edns {
		b[11] = 1
		b = append(b, qr.opt(q)...)
	}
	q.wire = b
	q.name = strings.ToLower(strings.Join(q.labels, ".")) + "."
	q.entry = qr.cat.find(q.name)
	q.zone = qr.cat.zone(q.name)
}

func mixCase(r *rand.Rand, s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' && r.Intn(2) == 0 {
			b[i] = c - 32
		}
	}
	return string(b)
}

func (qr *questioner) opt(q *question) []byte {
	r := qr.r
	b := []byte{0, 0, 41, byte(q.size >> 8), byte(q.size), 0, q.version, 0, 0, 0, 0}
	if r.Intn(5) == 0 {
		b[7], q.do = 0x80, true
	}
	if r.Intn(100) == 0 {
		b[7] |= byte(r.Intn(128)) // flags that nobody has defined
		b[8] = byte(r.Intn(256))
	}
	if r.Intn(10) == 0 {
		q.options = true
		for i := 1 + r.Intn(2); i > 0; i-- {
			o := pick(r, [][]byte{{0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8}, {0, 3, 0, 0}, {0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2},
				{0, 12, 0, 4, 0, 0, 0, 0}, {255, 1, 0, 1, 9}, {0, 11, 0, 0}, {0, 9, 0, 0}})
			b = append(b, o...)
		}
		binary.BigEndian.PutUint16(b[9:], uint16(len(b)-11))
	}
	return b
}

// odd messages: everything that a server may refuse.
func (qr *questioner) odd() *question {
	r := qr.r
	e := &qr.cat.entries[r.Intn(len(qr.cat.entries))]
	q := &question{qtype: pick(r, []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV}), class: dns.ClassINET}
	q.labels = dns.SplitDomainName(e.name)
	switch n := r.Intn(10); n {
	case 0:
		q.class, q.odd = pick(r, []uint16{dns.ClassCHAOS, dns.ClassHESIOD, dns.ClassANY, dns.ClassNONE, 0, 77}), "class"
	case 1:
		q.opcode = pick(r, []int{1, 2, 4, 5, 6, 15})
		q.odd = fmt.Sprintf("opcode %d", q.opcode)
	case 2:
		q.edns, q.size, q.version, q.odd = true, 1232, byte(1+r.Intn(200)), "EDNS version"
	case 3:
		q.qtype, q.odd = pick(r, []uint16{dns.TypeAXFR, dns.TypeIXFR}), "transfer"
	case 4:
		q.qtype, q.odd = pick(r, []uint16{0, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeMAILA, dns.TypeMAILB, 41}), "meta type"
	case 5: // bytes that no object has in its names
		i := r.Intn(len(q.labels) + 1)
		l := pick(r, []string{"a.b", "a\x00b", "\xff", "\x00", " ", "a\\b", "@", "\xc3\xa9"})
		q.labels = append(q.labels[:i:i], append([]string{l}, q.labels[i:]...)...)
		q.odd = "odd bytes"
	}
	if n := len(strings.Join(q.labels, ".")) + 2; n > 255 || len(q.labels) == 0 {
		q.labels, q.odd = []string{"x"}, ""
	}
	if q.odd == "" {
		qr.options(q)
	}
	qr.finish(q)
	if q.odd != "" {
		return q
	}
	switch r.Intn(4) {
	case 0:
		q.odd = "trailing bytes"
		q.wire = append(q.wire, 1, 2, 3)
	case 1:
		q.odd = "two questions"
		q.wire[5] = 2
	case 2:
		q.odd = "no question"
		q.wire = append(q.wire[:4:4], 0, 0, 0, 0, 0, 0, 0, 0)
	case 3:
		q.odd = "cut"
		q.wire = q.wire[:12+r.Intn(len(q.wire)-12)]
	}
	return q
}
