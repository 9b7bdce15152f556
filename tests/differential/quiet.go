// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Quiescence: after the changes of a round, one object more of every kind is changed, and when
// both servers show that, they have seen everything before it: a watch keeps the order of its kind.

const checkNamespace = "kbdiff"

type sentinel struct {
	c     *cluster
	round int
	rules *rules
	late  time.Duration // the longest that kbdnsd took
}

func newSentinel(ctx context.Context, c *cluster, r *rules, part int) (*sentinel, error) {
	// Every run on one cluster has names and addresses of its own.
	return &sentinel{c: c, rules: r, round: part * 200}, c.createNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: checkNamespace,
		Labels: map[string]string{"tier": "a"}}})
}

func headless(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: checkNamespace, Labels: map[string]string{"shown": "yes"}},
		Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
}

// single is a slice with one endpoint, a named one; none if there is no address.
func single(name, service, hostname, address string) *discoveryv1.EndpointSlice {
	sl := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: checkNamespace,
		Labels: map[string]string{discoveryv1.LabelServiceName: service, "shown": "yes"}}, AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(80)), Protocol: ptr(corev1.ProtocolTCP)}}}
	if address != "" {
		sl.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{address}, Hostname: &hostname}}
	}
	return sl
}

func (c *cluster) putSlice(ctx context.Context, sl *discoveryv1.EndpointSlice) error {
	_, err := c.api.DiscoveryV1().EndpointSlices(sl.Namespace).Update(ctx, sl, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return c.createSlice(ctx, sl)
	}
	return err
}

// wait returns when both servers are up to date.
func (s *sentinel) wait(ctx context.Context, servers map[string]*udpClient) error {
	s.round++
	name := fmt.Sprintf("round-%d", s.round)
	svc := headless(name)
	svc.Spec.ClusterIP = fmt.Sprintf("10.96.%d.%d", 240+s.round>>8, s.round&255)
	if err := s.c.createService(ctx, svc); err != nil {
		return err
	}
	if err := s.c.putSlice(ctx, single("round", name, name, fmt.Sprintf("10.250.%d.%d", s.round>>8, s.round&255))); err != nil {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kbdiff-" + name, Labels: map[string]string{"tier": "a"}}}
	if err := s.c.createNamespace(ctx, ns); err != nil {
		return err
	}
	pod := newPod(checkNamespace, name, corev1.PodRunning)
	pod.Labels["shown"] = "yes"
	pod.Status.PodIP = fmt.Sprintf("10.251.%d.%d", s.round>>8, s.round&255)
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	if err := s.c.createPod(ctx, pod); err != nil {
		return err
	}
	names := []string{name + "." + checkNamespace + ".svc."}
	if !s.rules.noEndpoints {
		names = append(names, name+"."+names[0])
	}
	if len(s.rules.namespaces) == 0 {
		names = append(names, ns.Name+".svc.")
	}
	if s.rules.pods == podsVerified {
		names = append(names, dashed(pod.Status.PodIP)+"."+checkNamespace+".pod.")
	}
	start := time.Now()
	for who, u := range servers {
		for _, n := range names {
			n += "cluster.local."
			for {
				m, err := askOne(u, n, dns.TypeA)
				if err != nil {
					return err
				}
				if m.m != nil && m.rcode == dns.RcodeSuccess {
					break
				}
				if time.Since(start) > 10*time.Second {
					return fmt.Errorf("%s does not show %s within 10 s", who, n)
				}
				time.Sleep(time.Millisecond)
			}
		}
		if who != "CoreDNS" {
			s.late = max(s.late, time.Since(start))
		}
	}
	if err := s.c.deleteNamespace(ctx, ns.Name); err != nil {
		return err
	}
	if err := s.c.api.CoreV1().Services(checkNamespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := s.c.api.CoreV1().Pods(checkNamespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr(int64(0))}); err != nil {
		return err
	}
	// Names that go may follow those that come, within one batch of events.
	time.Sleep(50 * time.Millisecond)
	return nil
}

// askOne asks a single question.
func askOne(u *udpClient, name string, qtype uint16) (*message, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	wire, err := m.Pack()
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(wire, 0)
	got, err := u.exchange([][]byte{wire})
	if err != nil {
		return nil, err
	}
	return parse(got[0].wire)
}
