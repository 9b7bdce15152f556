// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pods, and their names a-b-c-d.N.pod.Z.

// pod in any phase; some share addresses with endpoints and with each other.
func (g *generator) pod(ns string) *corev1.Pod {
	p := newPod(ns, g.label(false), pick(g.r, []corev1.PodPhase{corev1.PodRunning, corev1.PodRunning, corev1.PodRunning,
		corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed}))
	p.Labels["shown"] = pick(g.r, []string{"yes", "yes", "no"})
	p.Spec.HostNetwork = g.one(8)
	if p.Status.Phase == corev1.PodPending && g.one(2) {
		return p // no address yet
	}
	v6 := g.one(4)
	for i := 0; i < 2; i++ {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: g.address(v6).String()})
		if !g.one(3) {
			break
		}
		v6 = !v6
	}
	p.Status.PodIP = p.Status.PodIPs[0].IP
	return p
}

func newPod(ns, name string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{}},
		Spec:   corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "main", Image: "none"}}},
		Status: corev1.PodStatus{Phase: phase}}
}

// createPod writes the status too, as a kubelet would, and makes the account that a controller
// would have made.
func (c *cluster) createPod(ctx context.Context, p *corev1.Pod) error {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: p.Namespace}}
	_, err := c.api.CoreV1().ServiceAccounts(p.Namespace).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	got, err := c.api.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{})
	if err == nil {
		got.Status = p.Status
		_, err = c.api.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, got, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	return nil
}

// pod changes one: its phase, its address, or it goes, with or without a time of grace.
func (ch *churn) pod(ctx context.Context, p *corev1.Pod) error {
	g, api := ch.g, ch.c.api.CoreV1().Pods(p.Namespace)
	var err error
	switch g.r.Intn(4) {
	case 0:
		err = api.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr(int64(0))})
	case 1:
		err = api.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr(int64(30))})
	case 2:
		p.Status.Phase = pick(g.r, []corev1.PodPhase{corev1.PodRunning, corev1.PodFailed, corev1.PodSucceeded})
		_, err = api.UpdateStatus(ctx, p, metav1.UpdateOptions{})
	default:
		p.Status.PodIP = g.address(g.one(4)).String()
		p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}}
		_, err = api.UpdateStatus(ctx, p, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	return nil
}

// What `pods` of a Corefile says.
const (
	podsDisabled = "disabled"
	podsInsecure = "insecure"
	podsVerified = "verified"
)

// podAddress reads the first label of a Pod's name as CoreDNS does.
func podAddress(label string) (netip.Addr, bool) {
	sep := ":"
	if strings.Count(label, "-") == 3 && !strings.Contains(label, "--") {
		sep = "."
	}
	a, err := netip.ParseAddr(strings.ReplaceAll(label, "-", sep))
	return a, err == nil && a.Zone() == ""
}

func addressTypes(a netip.Addr) uint16 {
	if a.Is4() {
		return 1
	}
	return 28
}

// live: the name of a Pod exists while it has not ended and is not about to.
func live(p *corev1.Pod) bool {
	return p.Status.PodIP != "" && p.DeletionTimestamp == nil && (p.Status.Phase == corev1.PodRunning || p.Status.Phase == corev1.PodPending)
}

// pods below a zone.
func (c *catalog) pods(z string) {
	for i := range c.st.pods {
		p := &c.st.pods[i]
		if c.rules.pods == podsDisabled || !live(p) || !c.exposed(p.Namespace) || !c.rules.shown(p.Labels) && c.rules.pods == podsVerified {
			continue
		}
		if a, err := netip.ParseAddr(p.Status.PodIP); err == nil {
			c.add(dashed(p.Status.PodIP)+"."+p.Namespace+".pod."+z, kindPod, nil, addressTypes(a))
		}
	}
}

// belowPod: in insecure mode no table holds what there is at a name, or not.
func (c *catalog) belowPod(name string) bool {
	return c.rules.pods == podsInsecure && strings.HasSuffix(strings.TrimSuffix("."+name, c.zone(name)), ".pod.")
}

// find is what stands at a name. Any address is one of a Pod where nobody verifies it.
func (c *catalog) find(name string) *entry {
	e := c.byName[name]
	if e != nil || c.rules.pods != podsInsecure {
		return e
	}
	i := strings.IndexByte(name, '.')
	above := c.byName[name[i+1:]]
	if i < 1 || above == nil || above.kind != kindPodNamespace {
		return nil
	}
	a, ok := podAddress(name[:i])
	if !ok {
		return nil
	}
	return &entry{name: name, kind: kindPod, types: []uint16{addressTypes(a)}}
}

// podLabel is the first label of a Pod's name, right or nearly so.
func (qr *questioner) podLabel() string {
	r := qr.r
	a := fmt.Sprintf("%d-%d-%d-%d", r.Intn(256), r.Intn(256), r.Intn(256), r.Intn(256))
	return pick(r, []string{a, a, "10-240-0-1", "fd00-10--" + fmt.Sprintf("%x", r.Intn(65536)), "1--2-3-4", "256-1-1-1", "1-2-3", "1-2-3-4-5",
		"01-2-3-4", "--1", "-", "x-1-2-3", "1-2-3--4", "fd00-10-244--1", "FD00-10-244--1", "a", "1.2.3.4", "fd00-10-0-0-0-0-0-1"})
}
