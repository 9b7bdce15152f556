// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"sort"
	"strings"

	"github.com/miekg/dns"
)

// One question, the reference's answer and an engine's: what differs.

type difference uint32

const (
	diffSilence difference = 1 << iota // one of them did not reply
	diffBroken                         // the engine's reply cannot be parsed
	diffQuestion
	diffOpcode
	diffRcode // with the OPT record's part of it
	diffAA
	diffTC
	diffRD
	diffRA
	diffAD
	diffCD
	diffZ
	diffAnswer
	diffAuthority
	diffAdditional
	diffSerial
	diffOpt // one of them has an OPT record
	diffOptSize
	diffOptFlags
	diffOptOptions
	diffTooLong // longer than the client takes
	diffOrder   // a CNAME behind what it leads to
)

var differenceNames = []string{"silence", "broken", "question", "opcode", "rcode", "AA", "TC", "RD", "RA", "AD", "CD", "Z",
	"answer", "authority", "additional", "serial", "OPT", "OPT size", "OPT flags", "OPT options", "too long", "CNAME order"}

func (d difference) String() string {
	var s []string
	for i, n := range differenceNames {
		if d&(1<<i) != 0 {
			s = append(s, n)
		}
	}
	return strings.Join(s, ", ")
}

// message is a reply, taken apart.
type message struct {
	wire     []byte
	m        *dns.Msg // nil for silence
	opt      *dns.OPT
	rcode    int
	question string // bytes as they stand in the message
	sections [3][]string
	serial   uint32
	cnameBad bool
}

func parse(wire []byte) (*message, error) {
	m := &message{wire: wire}
	if wire == nil {
		return m, nil
	}
	m.m = new(dns.Msg)
	if err := m.m.Unpack(wire); err != nil {
		return m, err
	}
	m.rcode = m.m.Rcode
	m.question = questionBytes(wire)
	twice := ""
	for i, sec := range [3][]dns.RR{m.m.Answer, m.m.Ns, m.m.Extra} {
		seen := map[string]bool{}
		for _, rr := range sec {
			switch x := rr.(type) {
			case *dns.OPT:
				if m.opt != nil || i != 2 {
					return m, fmt.Errorf("OPT twice or out of place")
				}
				m.opt = x
				continue
			case *dns.SOA:
				m.serial = x.Serial
				x.Serial = 0
			}
			s := rr.String()
			if seen[s] {
				twice = s
				continue
			}
			seen[s] = true
			m.sections[i] = append(m.sections[i], s)
		}
	}
	m.cnameBad = cnameOrder(m.m.Answer)
	for i := range m.sections {
		sort.Strings(m.sections[i])
	}
	if twice != "" {
		return m, fmt.Errorf("a record twice: %s", twice)
	}
	return m, nil
}

func sorted(s []string) []string {
	sort.Strings(s)
	return s
}

// questionBytes is the question section of a message whose only name there is not compressed.
func questionBytes(wire []byte) string {
	if len(wire) < 12 || binary.BigEndian.Uint16(wire[4:]) != 1 {
		return ""
	}
	for at := 12; at < len(wire); at += int(wire[at]) + 1 {
		if wire[at] == 0 && at+5 <= len(wire) {
			return string(wire[12 : at+5])
		}
	}
	return ""
}

// cnameOrder tells whether a record stands before the CNAME that leads to it.
func cnameOrder(rrs []dns.RR) bool {
	reached := map[string]bool{}
	for i, rr := range rrs {
		owner := strings.ToLower(rr.Header().Name)
		if i > 0 && !reached[owner] {
			return true
		}
		reached[owner] = true
		if c, ok := rr.(*dns.CNAME); ok {
			reached[strings.ToLower(c.Target)] = true
		}
	}
	return false
}

func bit(cond bool, d difference) difference {
	if cond {
		return d
	}
	return 0
}

// pair is a comparison: an engine's answer beside the reference's. full is the reference's
// over TCP, taken where one of them was truncated.
type pair struct {
	q              *question
	engine         string
	tcp            bool
	ref, our, full *message
	ourTCP         int // length of our own answer over TCP, where full is set
	cat            *catalog
	askReference   func(name string, qtype uint16) *message // over TCP
}

// wanted is the reference's section, whole even where it was truncated over UDP.
func (p *pair) wanted(i int) []string {
	if p.full != nil {
		return p.full.sections[i]
	}
	return p.ref.sections[i]
}

func equalSets(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func subset(a, of []string) bool {
	have := map[string]bool{}
	for _, s := range of {
		have[s] = true
	}
	for _, s := range a {
		if !have[s] {
			return false
		}
	}
	return true
}

func (p *pair) differences() difference {
	r, o := p.ref, p.our
	if r.m == nil || o.m == nil {
		return bit((r.m == nil) != (o.m == nil), diffSilence)
	}
	d := bit(r.question != o.question, diffQuestion) | bit(r.m.Opcode != o.m.Opcode, diffOpcode) |
		bit(r.rcode != o.rcode, diffRcode) | bit(r.m.Authoritative != o.m.Authoritative, diffAA) |
		bit(r.m.Truncated != o.m.Truncated, diffTC) | bit(r.m.RecursionDesired != o.m.RecursionDesired, diffRD) |
		bit(r.m.RecursionAvailable != o.m.RecursionAvailable, diffRA) |
		bit(r.m.AuthenticatedData != o.m.AuthenticatedData, diffAD) |
		bit(r.m.CheckingDisabled != o.m.CheckingDisabled, diffCD) | bit(r.m.Zero != o.m.Zero, diffZ) |
		bit(o.cnameBad, diffOrder)
	for i, s := range [3]difference{diffAnswer, diffAuthority, diffAdditional} {
		if p.full != nil && o.m.Truncated {
			d |= bit(!subset(o.sections[i], p.wanted(i)), s)
		} else {
			d |= bit(!equalSets(o.sections[i], p.wanted(i)), s)
		}
	}
	if diff := int64(o.serial) - int64(r.serial); r.serial != 0 && o.serial != 0 {
		d |= bit(diff < -serialSlack || diff > serialSlack, diffSerial)
	}
	d |= bit((r.opt == nil) != (o.opt == nil), diffOpt)
	if r.opt != nil && o.opt != nil {
		d |= bit(r.opt.UDPSize() != o.opt.UDPSize(), diffOptSize) | bit(r.opt.Hdr.Ttl&0xffffff != o.opt.Hdr.Ttl&0xffffff, diffOptFlags)
		d |= bit(!equalSets(optOptions(r.opt), optOptions(o.opt)), diffOptOptions)
	}
	return d | bit(!p.tcp && len(o.wire) > p.q.limit(), diffTooLong)
}

func optOptions(o *dns.OPT) []string {
	var out []string
	for _, e := range o.Option {
		out = append(out, fmt.Sprintf("%d %s", e.Option(), e))
	}
	sort.Strings(out)
	return out
}

// text of a reply, for people.
func (m *message) text() string {
	if m.m == nil {
		return "  no reply\n"
	}
	var b strings.Builder
	rc := dns.RcodeToString[m.rcode]
	fmt.Fprintf(&b, "  %s", rc)
	for _, f := range []struct {
		on   bool
		name string
	}{{m.m.Authoritative, "aa"}, {m.m.Truncated, "tc"}, {m.m.RecursionDesired, "rd"}, {m.m.RecursionAvailable, "ra"},
		{m.m.AuthenticatedData, "ad"}, {m.m.CheckingDisabled, "cd"}, {m.m.Zero, "z"}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	fmt.Fprintf(&b, ", %d bytes", len(m.wire))
	if m.opt != nil {
		fmt.Fprintf(&b, ", OPT size %d ttl %08x options %q", m.opt.UDPSize(), m.opt.Hdr.Ttl, optOptions(m.opt))
	}
	b.WriteString("\n")
	for i, name := range []string{"answer", "authority", "additional"} {
		for j, s := range m.sections[i] {
			if j == 12 {
				fmt.Fprintf(&b, "    %s: ... %d more\n", name, len(m.sections[i])-j)
				break
			}
			fmt.Fprintf(&b, "    %s: %s\n", name, strings.ReplaceAll(s, "\t", " "))
		}
	}
	return b.String()
}
