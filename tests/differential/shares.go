// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"sort"
	"strings"

	"github.com/miekg/dns"
)

// How much of each class of questions the fast path answers itself, and why it left the rest.

const (
	classA      = "A"
	classAAAA   = "AAAA"
	classSRV    = "SRV"
	classPTR    = "PTR"
	classNX     = "NXDOMAIN"
	classCNAME  = "CNAME inside"
	classOut    = "CNAME outside"
	classDeep   = "CNAME, too deep"
	classOther  = "other types"
	classLeft   = "falls through"
	classPods   = "Pods" // in insecure mode, where no table can hold them, and CNAMEs to Pods
	classNoZone = "outside all zones"
	classOdd    = "odd messages"
)

var classes = []string{classA, classAAAA, classSRV, classPTR, classNX, classCNAME, classOut, classDeep, classOther, classLeft, classPods, classNoZone, classOdd}

// Least share of a class that must be answered in the packet path, and least part of the run that the class
// must be.
var wantShare = map[string]float64{classA: 99.5, classAAAA: 99.5, classSRV: 99.5, classPTR: 99.5, classNX: 99.5, classCNAME: 99}

const wantPart = 5.0

// enough questions that a share says something.
const enough = 4000

func classOf(q *question, cat *catalog, ref *message) string {
	switch {
	case q.odd != "":
		return classOdd
	case q.zone == "":
		return classNoZone
	case q.entry != nil && q.entry.kind == kindExternal:
		chain, end := cat.chase(q.name)
		switch {
		case end == endOutside:
			return classOut
		case len(chain) > chainMax:
			return classDeep
		case strings.Contains(chain[len(chain)-1], ".pod."):
			return classPods
		}
		return classCNAME
	case cat.belowPod(q.name):
		return classPods
	case cat.through[q.zone] && (q.entry == nil || q.entry.kind != kindReverse):
		return classLeft
	case ref.m != nil && ref.rcode == dns.RcodeNameError:
		return classNX
	case q.qtype == dns.TypeA:
		return classA
	case q.qtype == dns.TypeAAAA:
		return classAAAA
	case q.qtype == dns.TypeSRV:
		return classSRV
	case q.qtype == dns.TypePTR:
		return classPTR
	}
	return classOther
}

type share struct{ asked, answered int }

type shares map[string]map[string]*share // engine, class

func (s shares) count(engine, class string, answered bool) {
	if s[engine] == nil {
		s[engine] = map[string]*share{}
	}
	x := s[engine][class]
	if x == nil {
		x = &share{}
		s[engine][class] = x
	}
	x.asked++
	if answered {
		x.answered++
	}
}

// print returns what falls short.
func (s shares) print() []string {
	var bad []string
	for _, e := range keys(s) {
		total := 0
		for _, x := range s[e] {
			total += x.asked
		}
		fmt.Printf("answered by the %s engine itself, of %d:\n", e, total)
		for _, c := range classes {
			x := s[e][c]
			if x == nil {
				x = &share{}
			}
			part, got := percent(x.asked, total), percent(x.answered, x.asked)
			fmt.Printf("  %-18s %8d asked (%5.2f %% of the run) %8d answered, %7.3f %%\n", c, x.asked, part, x.answered, got)
			if want := wantShare[c]; want > 0 && total >= enough && (got < want || part < wantPart) {
				bad = append(bad, fmt.Sprintf("%s, %s: %.3f %% answered (wanted %.1f), %.2f %% of the run (wanted %.0f)", e, c, got, want, part, wantPart))
			}
		}
	}
	return bad
}

func percent(a, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(a) / float64(of)
}

// counters of kbdnsd's engines.
type counters map[string]map[string]uint64

func readCounters(ctl string) (counters, error) {
	words := strings.Fields(ctl)
	out, err := exec.Command(words[0], append(words[1:], "--json", "stats")...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ctl, err)
	}
	var s struct{ Engines counters }
	return s.Engines, json.Unmarshal(out, &s)
}

// since returns what an engine has counted since an earlier reading.
func (c counters) since(before counters, engine string) map[string]int {
	out := map[string]int{}
	for k, v := range c[engine] {
		if d := v - before[engine][k]; d != 0 {
			out[k] = int(d)
		}
	}
	return out
}

func answeredOf(d map[string]int) (n int) {
	for k, v := range d {
		if strings.HasPrefix(k, "answered_") {
			n += v
		}
	}
	return n
}

func printReasons(engine string, d map[string]int) {
	var list []string
	for k, v := range d {
		if !strings.HasPrefix(k, "answered_") {
			list = append(list, fmt.Sprintf("%s %d", k, v))
		}
	}
	sort.Strings(list)
	fmt.Printf("counters of the %s engine: answered %d, %s\n", engine, answeredOf(d), strings.Join(list, ", "))
}
