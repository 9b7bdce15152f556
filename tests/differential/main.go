// SPDX-License-Identifier: Apache-2.0

// kbdiff asks kbdns and CoreDNS, on the same API server, the same questions, and reports every
// difference that is not on the list of accepted ones (accepted.go).
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	commands := map[string]func(context.Context, []string) error{"load": cmdLoad, "compare": cmdCompare}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: kbdiff load|compare [--help] [OPTIONS]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "kbdiff %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func cmdLoad(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("load", flag.ExitOnError)
	kubeconfig := fs.String("kubeconfig", "", "of an administrator of the API server")
	seed := fs.Int64("seed", 1, "decides what the cluster is made of")
	services := fs.Int("services", 200, "how many Services")
	_ = fs.Parse(args)
	c, err := openCluster(*kubeconfig)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := c.fill(ctx, rand.New(rand.NewSource(*seed)), *services); err != nil {
		return err
	}
	st, err := c.read(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("loaded %d namespaces, %d Services, %d EndpointSlices in %.1f s\n", len(st.namespaces), len(st.services),
		len(st.slices), time.Since(start).Seconds())
	return nil
}

type options struct {
	kubeconfig, netns, podNetns                    string
	reference, socket                              string
	ctl                                            string
	xdpPin, xdpIf, xdpNetns, xdpPeer, answers      string
	rules                                          rules
	namespaces                                     string
	seed                                           int64
	n, batch, show, changes, replace, part, sample int
}

func cmdCompare(ctx context.Context, args []string) error {
	var o options
	fs := flag.NewFlagSet("compare", flag.ExitOnError)
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "of an administrator of the API server")
	fs.StringVar(&o.netns, "netns", "", "network namespace of the servers")
	fs.StringVar(&o.podNetns, "pod-netns", "", "network namespace of a pod behind the tc engine")
	fs.StringVar(&o.reference, "reference", "127.0.0.1:53", "CoreDNS, asked directly")
	fs.StringVar(&o.socket, "socket", "127.0.0.1:5300", "kbdnsd --listen")
	fs.StringVar(&o.ctl, "ctl", "kbdnsctl", "kbdnsctl and its options")
	fs.StringVar(&o.xdpPin, "xdp-pin", "", "pinned program of the xdp engine")
	fs.StringVar(&o.xdpIf, "xdp-if", "", "port that it is attached to")
	fs.StringVar(&o.xdpNetns, "xdp-netns", "", "network namespace at the far end of its veth")
	fs.StringVar(&o.xdpPeer, "xdp-peer", "eth0", "the interface there")
	fs.StringVar(&o.answers, "answers", "", "file for kbdns's answers, each behind its length in two bytes")
	fs.IntVar(&o.sample, "sample", 10, "write only one in so many there")
	fs.StringVar(&o.rules.zones, "zones", "cluster.local. in-addr.arpa. ip6.arpa.", "what both answer for")
	fs.StringVar(&o.rules.through, "fallthrough", "", "zones whose unknown names both leave to others, and there are none")
	fs.StringVar(&o.rules.pods, "pods", podsDisabled, "as in both Corefiles: disabled, insecure or verified")
	fs.BoolVar(&o.rules.podNames, "endpoint-pod-names", false, "as in both Corefiles")
	fs.StringVar(&o.namespaces, "namespaces", "", "those that both show, if not all")
	fs.StringVar(&o.rules.tier, "tier", "", "both show only namespaces with this label tier")
	fs.BoolVar(&o.rules.onlyShown, "only-shown", false, "both show only objects with the label shown=yes")
	fs.BoolVar(&o.rules.noEndpoints, "noendpoints", false, "as in both Corefiles")
	fs.BoolVar(&o.rules.ignoreEmpty, "ignore-empty", false, "as in both Corefiles: ignore empty_service")
	fs.Int64Var(&o.seed, "seed", 1, "decides what is asked")
	fs.IntVar(&o.n, "n", 50000, "how many comparisons at least")
	fs.IntVar(&o.batch, "batch", 2000, "questions at once")
	fs.IntVar(&o.changes, "changes", 25, "objects that change between two batches")
	fs.IntVar(&o.replace, "replace", 0, "how often a pod of a StatefulSet is replaced")
	fs.IntVar(&o.part, "part", 1, "which run on this cluster it is, 1 to 15")
	fs.IntVar(&o.show, "show", 10, "kinds of differences to show in full")
	_ = fs.Parse(args)
	o.rules.namespaces = strings.Fields(o.namespaces)
	r, err := newRun(ctx, &o)
	if err != nil {
		return err
	}
	for r.total() < o.n && ctx.Err() == nil {
		if err := r.round(ctx); err != nil {
			return err
		}
		if err := r.change(ctx); err != nil {
			return err
		}
	}
	if o.replace > 0 {
		if err := r.replacements(ctx, o.replace); err != nil {
			return err
		}
	}
	return r.report()
}
