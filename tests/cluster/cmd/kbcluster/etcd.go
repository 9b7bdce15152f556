package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes/scheme"
)

// etcdStore writes objects to etcd itself, in the form kube-apiserver stores
// them; it sees them through its watch of etcd, and its clients see the same
// lists and events as ever. Two reasons: kube-apiserver counts all cluster IPs
// anew for every Service (so 10,000 take minutes), and on two cores the cost of
// writing through it hides the cost of watching, which is what we measure.
// Nothing is validated: only for objects that are known to be valid.
type etcdStore struct {
	client *clientv3.Client
	enc    runtime.Encoder
}

func etcdFlag(fs *flag.FlagSet) *string {
	return fs.String("etcd", "", "write to etcd at this address directly, past the API server (KBC_ETCD of DIR/env)")
}

// openEtcd returns nil for an empty address, and nil takes close.
func openEtcd(address string) (*etcdStore, error) {
	if address == "" {
		return nil, nil
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	return &etcdStore{c, protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)}, nil
}

func (s *etcdStore) close() {
	if s != nil {
		_ = s.client.Close()
	}
}

func (s *etcdStore) key(o runtime.Object) (string, schema.GroupVersionKind) {
	switch o := o.(type) {
	case *corev1.Service:
		return "/registry/services/specs/" + o.Namespace + "/" + o.Name, corev1.SchemeGroupVersion.WithKind("Service")
	case *discoveryv1.EndpointSlice:
		return "/registry/endpointslices/" + o.Namespace + "/" + o.Name, discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice")
	case *corev1.Pod:
		return "/registry/pods/" + o.Namespace + "/" + o.Name, corev1.SchemeGroupVersion.WithKind("Pod")
	case *networkingv1.IPAddress:
		return "/registry/ipaddresses/" + o.Name, networkingv1.SchemeGroupVersion.WithKind("IPAddress")
	}
	panic("no such kind")
}

func (s *etcdStore) encode(o runtime.Object) (string, string, error) {
	key, gvk := s.key(o)
	// the version is etcd's to tell; the stored form has none
	m := o.(metav1.Object)
	version := m.GetResourceVersion()
	m.SetResourceVersion("")
	defer m.SetResourceVersion(version)
	o.GetObjectKind().SetGroupVersionKind(gvk)
	var b strings.Builder
	err := s.enc.Encode(o, &b)
	return key, b.String(), err
}

func (s *etcdStore) put(ctx context.Context, o runtime.Object) error {
	if sl, ok := o.(*discoveryv1.EndpointSlice); ok {
		sl.Generation++ // as every change of what it says
	}
	key, value, err := s.encode(o)
	if err != nil {
		return err
	}
	_, err = s.client.Put(ctx, key, value)
	return err
}

func (s *etcdStore) create(ctx context.Context, objs ...runtime.Object) error {
	var puts []clientv3.Op
	var first string
	for _, o := range objs {
		key, value, err := s.encode(o)
		if err != nil {
			return err
		}
		if first == "" {
			first = key
		}
		puts = append(puts, clientv3.OpPut(key, value))
	}
	r, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(first), "=", 0)).Then(puts...).Commit()
	if err == nil && !r.Succeeded {
		err = apierrors.NewAlreadyExists(schema.GroupResource{}, first)
	}
	return err
}

func (s *etcdStore) stored(m *metav1.ObjectMeta, apiVersion, fields string) {
	if m.UID == "" {
		m.UID = uuid.NewUUID()
	}
	if m.CreationTimestamp.IsZero() {
		m.CreationTimestamp = metav1.Now()
	}
	m.ResourceVersion, m.SelfLink = "", ""
	// The server's book-keeping is a good part of every Service's size, and so
	// of what a watcher reads and parses.
	if len(m.ManagedFields) == 0 {
		now := metav1.Now()
		m.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kbcluster", Operation: metav1.ManagedFieldsOperationUpdate,
			APIVersion: apiVersion, Time: &now, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(fields)}}}
	}
}

func (s *etcdStore) createService(ctx context.Context, o *corev1.Service) error {
	if o.Name == "kubernetes" && o.Namespace == "default" {
		return apierrors.NewAlreadyExists(corev1.Resource("services"), o.Name)
	}
	var ports strings.Builder
	for i := range o.Spec.Ports {
		p := &o.Spec.Ports[i]
		if p.Protocol == "" {
			p.Protocol = corev1.ProtocolTCP
		}
		fmt.Fprintf(&ports, `,"k:{\"port\":%d,\"protocol\":\"%s\"}":{".":{},"f:name":{},"f:port":{},"f:protocol":{},"f:targetPort":{}}`,
			p.Port, p.Protocol)
	}
	s.stored(&o.ObjectMeta, "v1", `{"f:spec":{"f:clusterIP":{},"f:clusterIPs":{},"f:internalTrafficPolicy":{},"f:ipFamilies":{},`+
		`"f:ipFamilyPolicy":{},"f:ports":{".":{}`+ports.String()+`},"f:selector":{},"f:sessionAffinity":{},"f:type":{}}}`)
	if o.Spec.SessionAffinity == "" {
		o.Spec.SessionAffinity = corev1.ServiceAffinityNone
	}
	if o.Spec.InternalTrafficPolicy == nil && o.Spec.Type != corev1.ServiceTypeExternalName {
		p := corev1.ServiceInternalTrafficPolicyCluster
		o.Spec.InternalTrafficPolicy = &p
	}
	objs := []runtime.Object{o}
	// Without these the server's repair loop would make them, one by one.
	for _, ip := range o.Spec.ClusterIPs {
		a, err := netip.ParseAddr(ip)
		if err != nil {
			continue // None
		}
		family := "IPv4"
		if a.Is6() {
			family = "IPv6"
		}
		ia := &networkingv1.IPAddress{
			ObjectMeta: metav1.ObjectMeta{Name: a.String(), Labels: map[string]string{
				"ipaddress.kubernetes.io/ip-family":  family,
				"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}},
			Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{
				Resource: "services", Namespace: o.Namespace, Name: o.Name}},
		}
		s.stored(&ia.ObjectMeta, "networking.k8s.io/v1", `{"f:metadata":{"f:labels":{".":{},"f:ipaddress.kubernetes.io/ip-family":{},`+
			`"f:ipaddress.kubernetes.io/managed-by":{}}},"f:spec":{"f:parentRef":{".":{},"f:name":{},"f:namespace":{},"f:resource":{}}}}`)
		objs = append(objs, ia)
	}
	return s.create(ctx, objs...)
}

func (s *etcdStore) createSlice(ctx context.Context, o *discoveryv1.EndpointSlice) error {
	var uid types.UID
	if len(o.OwnerReferences) > 0 {
		uid = o.OwnerReferences[0].UID
	}
	if o.Generation == 0 {
		o.Generation = 1
	}
	s.stored(&o.ObjectMeta, "discovery.k8s.io/v1", `{"f:addressType":{},"f:endpoints":{},"f:metadata":{"f:labels":{".":{},`+
		`"f:endpointslice.kubernetes.io/managed-by":{},"f:kubernetes.io/service-name":{}},"f:ownerReferences":{".":{},`+
		`"k:{\"uid\":\"`+string(uid)+`\"}":{}}},"f:ports":{}}`)
	return s.create(ctx, o)
}
