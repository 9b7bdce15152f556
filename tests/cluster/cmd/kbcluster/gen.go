package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/netip"
	"os"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type genOptions struct {
	services, endpoints, namespaces, perSlice, pods int
	headless, hostnames, dualStack                  float64
	seed                                            int64
	serviceCIDR, serviceCIDR6, podCIDR, podCIDR6    string
	prefix                                          string
	bare, noSelectors                               bool
}

// objects is what a cluster holds that a DNS server cares about.
type objects struct {
	namespaces []*corev1.Namespace
	services   []*corev1.Service
	slices     []*discoveryv1.EndpointSlice
	pods       []*corev1.Pod
}

func cmdGen(ctx context.Context, args []string) error {
	var o genOptions
	fs := newFlags("gen")
	kubeconfig := kubeconfigFlag(fs)
	fs.IntVar(&o.services, "services", 1000, "number of Services")
	fs.IntVar(&o.endpoints, "endpoints", 15000, "number of endpoints in all")
	fs.IntVar(&o.namespaces, "namespaces", 10, "number of namespaces")
	fs.IntVar(&o.perSlice, "endpoints-per-slice", 15, "ready endpoints in each EndpointSlice")
	fs.Float64Var(&o.headless, "headless-share", 0.1, "share of headless Services")
	fs.Float64Var(&o.hostnames, "hostname-share", 0.5, "share of the headless Services whose endpoints have hostnames")
	fs.Float64Var(&o.dualStack, "dual-stack-share", 0, "share of the other Services, and of the Pods, with an IPv6 address too")
	fs.IntVar(&o.pods, "pods", 0, "number of Pods: those of the endpoints, and beyond them Pods of no Service in all phases")
	fs.Int64Var(&o.seed, "seed", 1, "same seed, same objects")
	fs.StringVar(&o.serviceCIDR, "service-cidr", "10.96.0.0/16", "where cluster IPs come from")
	fs.StringVar(&o.serviceCIDR6, "service-cidr6", "fd00:10:96::/112", "where IPv6 cluster IPs come from")
	fs.StringVar(&o.podCIDR, "pod-cidr", "10.128.0.0/9", "where endpoint addresses come from")
	fs.StringVar(&o.podCIDR6, "pod-cidr6", "fd00:10:128::/96", "where IPv6 addresses of Pods come from")
	fs.StringVar(&o.prefix, "prefix", "", "put before the names of namespaces")
	fs.BoolVar(&o.bare, "bare", false, "endpoints without nodeName and targetRef, which DNS does not need")
	fs.BoolVar(&o.noSelectors, "no-selectors", false, "Services that a running kube-controller-manager makes no slices of its own for")
	workers := fs.Int("workers", 32, "requests under way at once")
	out := fs.String("out", "", "write a snapshot List to this file (- for stdout) instead of to a server")
	etcd := etcdFlag(fs)
	parse(fs, args)
	if o.services < 0 || o.endpoints < 0 || o.pods < 0 || o.namespaces < 1 || o.perSlice < 1 || o.perSlice > 1000 {
		return fmt.Errorf("numbers out of range")
	}

	objs, err := generate(&o)
	if err != nil {
		return err
	}
	if *out != "" {
		return writeSnapshot(*out, objs)
	}
	return create(ctx, *kubeconfig, *etcd, *workers, objs)
}

// addressPool hands out addresses of a prefix by number.
type addressPool struct {
	prefix netip.Prefix
}

func (p addressPool) at(n uint64) (string, error) {
	b := p.prefix.Masked().Addr().AsSlice()
	for i := len(b) - 1; i >= 0 && n > 0; i-- {
		n += uint64(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	a, _ := netip.AddrFromSlice(b)
	if n > 0 || !p.prefix.Contains(a) {
		return "", fmt.Errorf("%v is too small", p.prefix)
	}
	return a.String(), nil
}

func generate(o *genOptions) (*objects, error) {
	var objs objects
	var pools [4]addressPool
	for i, s := range []string{o.serviceCIDR, o.serviceCIDR6, o.podCIDR, o.podCIDR6} {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		pools[i] = addressPool{p}
	}
	rnd := rand.New(rand.NewSource(o.seed))
	uid := func() types.UID {
		return types.UID(fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rnd.Uint32(),
			rnd.Intn(1<<16), rnd.Intn(1<<12), rnd.Intn(1<<12), rnd.Int63n(1<<48)))
	}
	born := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	version := 1000
	meta := func(ns, name string) metav1.ObjectMeta {
		version++
		return metav1.ObjectMeta{Namespace: ns, Name: name, UID: uid(), CreationTimestamp: born,
			ResourceVersion: strconv.Itoa(version)}
	}

	for i := 0; i < o.namespaces; i++ {
		objs.namespaces = append(objs.namespaces, &corev1.Namespace{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: meta("", fmt.Sprintf("%sns-%04d", o.prefix, i)),
		})
	}
	for i := 0; i < o.services; i++ {
		s, err := genService(o, rnd, i, pools, meta)
		if err != nil {
			return nil, err
		}
		objs.services = append(objs.services, s)
	}
	// Slices go round the Services, so that each has its share and a Service
	// gets a second one only when all have one.
	nslices := (o.endpoints + o.perSlice - 1) / o.perSlice
	if o.services == 0 {
		nslices = 0
	}
	for i, left := 0, o.endpoints; i < nslices; i, left = i+1, left-o.perSlice {
		sl, err := genSlice(o, rnd, i, min(left, o.perSlice), objs.services[i%o.services], pools[2], meta, uid)
		if err != nil {
			return nil, err
		}
		objs.slices = append(objs.slices, sl)
	}
	var err error
	objs.pods, err = genPods(o, rnd, o.pods, objs.slices, pools, meta)
	return &objs, err
}

func genService(o *genOptions, rnd *rand.Rand, i int, pools [4]addressPool,
	meta func(ns, name string) metav1.ObjectMeta) (*corev1.Service, error) {
	name := fmt.Sprintf("svc-%05d", i)
	s := &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: meta(fmt.Sprintf("%sns-%04d", o.prefix, i%o.namespaces), name),
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeClusterIP,
			Selector: map[string]string{"app": name},
		},
	}
	if o.noSelectors {
		s.Spec.Selector = nil
	}
	port := func(name string, n, target int32, proto corev1.Protocol) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: name, Port: n,
			TargetPort: intstr.FromInt32(target), Protocol: proto})
	}
	switch r := rnd.Float64(); {
	case r < 0.3:
		port("", 80, 8080, corev1.ProtocolTCP)
	case r < 0.8:
		port("http", 80, 8080, corev1.ProtocolTCP)
	case r < 0.95:
		port("http", 80, 8080, corev1.ProtocolTCP)
		port("metrics", 9090, 9090, corev1.ProtocolTCP)
	default:
		port("dns", 53, 5353, corev1.ProtocolUDP)
		port("dns-tcp", 53, 5353, corev1.ProtocolTCP)
	}
	single := corev1.IPFamilyPolicySingleStack
	s.Spec.IPFamilyPolicy = &single
	s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	if rnd.Float64() < o.headless {
		s.Spec.ClusterIP = corev1.ClusterIPNone
		s.Spec.ClusterIPs = []string{corev1.ClusterIPNone}
		s.Labels = map[string]string{corev1.IsHeadlessService: ""}
		if rnd.Float64() < o.hostnames {
			s.Labels["statefulset"] = "true"
		}
		return s, nil
	}
	// The first 256 are left to the cluster's own (kubernetes, kube-dns).
	ip, err := pools[0].at(uint64(256 + i))
	if err != nil {
		return nil, err
	}
	s.Spec.ClusterIP = ip
	s.Spec.ClusterIPs = []string{ip}
	if rnd.Float64() < o.dualStack {
		ip6, err := pools[1].at(uint64(256 + i))
		if err != nil {
			return nil, err
		}
		dual := corev1.IPFamilyPolicyRequireDualStack
		s.Spec.IPFamilyPolicy = &dual
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, corev1.IPv6Protocol)
		s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, ip6)
	}
	return s, nil
}

func genSlice(o *genOptions, rnd *rand.Rand, i, n int, svc *corev1.Service, pods addressPool,
	meta func(ns, name string) metav1.ObjectMeta, uid func() types.UID) (*discoveryv1.EndpointSlice, error) {
	yes, no := true, false
	sl := &discoveryv1.EndpointSlice{
		TypeMeta:    metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta:  meta(svc.Namespace, fmt.Sprintf("%s-%05d", svc.Name, i)),
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	sl.Labels = map[string]string{
		discoveryv1.LabelServiceName: svc.Name,
		// the label of the real controller, without being one of its own
		discoveryv1.LabelManagedBy: "kbcluster",
	}
	if svc.Spec.ClusterIP == corev1.ClusterIPNone {
		sl.Labels[corev1.IsHeadlessService] = ""
	}
	sl.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: svc.Name,
		UID: svc.UID, Controller: &yes, BlockOwnerDeletion: &yes}}
	for j := range svc.Spec.Ports {
		p := &svc.Spec.Ports[j]
		target := p.TargetPort.IntVal
		sl.Ports = append(sl.Ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &target, Protocol: &p.Protocol})
	}
	for j := 0; j < n; j++ {
		ip, err := podAddress(o, pods, i*o.perSlice+j)
		if err != nil {
			return nil, err
		}
		e := discoveryv1.Endpoint{
			Addresses:  []string{ip},
			Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes, Terminating: &no},
		}
		pod := podName(o, svc.Name, i, j)
		if svc.Labels["statefulset"] != "" {
			e.Hostname = &pod
		}
		if !o.bare {
			node := fmt.Sprintf("node-%04d", rnd.Intn(5000))
			e.NodeName = &node
			e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: svc.Namespace, Name: pod, UID: uid()}
		}
		sl.Endpoints = append(sl.Endpoints, e)
	}
	return sl, nil
}

// writeSnapshot writes what `kubectl get svc,endpointslices,ns,pods -A -o json` prints,
// one object a line.
func writeSnapshot(path string, objs *objects) (err error) {
	f := os.Stdout
	if path != "-" {
		f, err = os.Create(path)
		if err != nil {
			return err
		}
		defer func() {
			if e := f.Close(); err == nil {
				err = e
			}
		}()
	}
	w := bufio.NewWriterSize(f, 1<<20)
	sep := ""
	put := func(o runtime.Object) error {
		b, err := json.Marshal(o)
		if err != nil {
			return err
		}
		_, _ = w.WriteString(sep)
		_, _ = w.Write(b)
		sep = ",\n"
		return nil
	}
	_, _ = w.WriteString("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"\"},\"items\":[\n")
	for _, o := range objs.services {
		if err = put(o); err != nil {
			return err
		}
	}
	for _, o := range objs.slices {
		if err = put(o); err != nil {
			return err
		}
	}
	for _, o := range objs.namespaces {
		if err = put(o); err != nil {
			return err
		}
	}
	for _, o := range objs.pods {
		if err = put(o); err != nil {
			return err
		}
	}
	_, _ = w.WriteString("\n]}\n")
	return w.Flush() // reports the first error of any write
}
