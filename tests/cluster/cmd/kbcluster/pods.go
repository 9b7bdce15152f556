package main

import (
	"context"
	"fmt"
	"math/rand"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

// genPods makes n Pods: first those that the endpoints belong to, in the order of the
// slices and with their names and addresses; then, in turn, Pods of no Service that run, wait
// for an address, have succeeded, have failed, or are on a lost node.
func genPods(o *genOptions, rnd *rand.Rand, n int, slices []*discoveryv1.EndpointSlice, pools [4]addressPool,
	meta func(ns, name string) metav1.ObjectMeta) ([]*corev1.Pod, error) {
	var pods []*corev1.Pod
	add := func(ns, name, ip string, number uint64, phase corev1.PodPhase) error {
		p := genPod(meta(ns, name), rnd, phase)
		if ip != "" {
			p.Status.PodIP = ip
			p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
			if rnd.Float64() < o.dualStack {
				ip6, err := pools[3].at(number)
				if err != nil {
					return err
				}
				p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip6})
			}
		}
		pods = append(pods, p)
		return nil
	}
	for i, sl := range slices {
		service := sl.Labels[discoveryv1.LabelServiceName]
		for j := range sl.Endpoints {
			if len(pods) == n {
				return pods, nil
			}
			if err := add(sl.Namespace, podName(o, service, i, j), sl.Endpoints[j].Addresses[0],
				uint64(i*o.perSlice+j), corev1.PodRunning); err != nil {
				return nil, err
			}
		}
	}
	phases := []corev1.PodPhase{corev1.PodRunning, corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown}
	for i := 0; len(pods) < n; i++ {
		phase := phases[i%len(phases)]
		ip := ""
		if phase != corev1.PodPending {
			var err error
			if ip, err = podAddress(o, pools[2], o.endpoints+i); err != nil {
				return nil, err
			}
		}
		if err := add(fmt.Sprintf("%sns-%04d", o.prefix, i%o.namespaces), fmt.Sprintf("job-%06d", i), ip,
			uint64(o.endpoints+i), phase); err != nil {
			return nil, err
		}
	}
	return pods, nil
}

// podName is the name of the Pod behind an endpoint: of the j-th of the i-th slice.
func podName(o *genOptions, service string, i, j int) string {
	return fmt.Sprintf("%s-%d", service, i/o.services*o.perSlice+j)
}

// podAddress is the address of a Pod by number. Neighbours in a slice do not sit side by side in
// the pod network; a multiplication by an odd number permutes the addresses.
func podAddress(o *genOptions, pods addressPool, n int) (string, error) {
	size := uint64(1) << (pods.prefix.Addr().BitLen() - pods.prefix.Bits())
	if uint64(max(o.endpoints, o.pods)) >= size {
		return "", fmt.Errorf("%v is too small", pods.prefix)
	}
	return pods.at((uint64(n)*0x9e3779b1 + uint64(o.seed)) & (size - 1))
}

// genPod is as large as an ordinary Pod of a Deployment: what a watcher has to read for two
// addresses is part of what is measured.
func genPod(meta metav1.ObjectMeta, rnd *rand.Rand, phase corev1.PodPhase) *corev1.Pod {
	yes := true
	node := fmt.Sprintf("node-%04d", rnd.Intn(5000))
	born := meta.CreationTimestamp
	meta.Labels = map[string]string{"app": meta.Name, "app.kubernetes.io/managed-by": "kbcluster",
		"pod-template-hash": fmt.Sprintf("%010x", rnd.Int63n(1<<40))}
	meta.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}
	meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: meta.Name + "-5d4c7b9f8d",
		UID: meta.UID, Controller: &yes, BlockOwnerDeletion: &yes}}
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz",
		Port: intstr.FromInt32(8080), Scheme: corev1.URISchemeHTTP}}, TimeoutSeconds: 1, PeriodSeconds: 10,
		SuccessThreshold: 1, FailureThreshold: 3}
	mode := int32(420)
	expire := int64(3607)
	grace := int64(30)
	priority := int32(0)
	preempt := corev1.PreemptLowerPriority
	links := true
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: meta,
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "main", Image: "registry.example.com/team/service:v1.42.0", ImagePullPolicy: corev1.PullIfNotPresent,
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
				Env: []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{
					FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}}},
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")}},
				LivenessProbe: probe, ReadinessProbe: probe,
				TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
				VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access", ReadOnly: true,
					MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
			}},
			Volumes: []corev1.Volume{{Name: "kube-api-access", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				DefaultMode: &mode, Sources: []corev1.VolumeProjection{
					{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: &expire, Path: "token"}},
					{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
						Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}}}}}}},
			RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: &grace, DNSPolicy: corev1.DNSClusterFirst,
			ServiceAccountName: "default", DeprecatedServiceAccount: "default", NodeName: node,
			SecurityContext: &corev1.PodSecurityContext{}, SchedulerName: corev1.DefaultSchedulerName,
			Tolerations: []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &grace},
				{Key: "node.kubernetes.io/unreachable", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &grace}},
			Priority: &priority, PreemptionPolicy: &preempt, EnableServiceLinks: &links,
		},
		Status: corev1.PodStatus{Phase: phase, HostIP: "192.0.2.17", HostIPs: []corev1.HostIP{{IP: "192.0.2.17"}},
			QOSClass: corev1.PodQOSBurstable, StartTime: &born},
	}
	ready := corev1.ConditionFalse
	if phase == corev1.PodRunning {
		ready = corev1.ConditionTrue
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", Ready: true, Started: &yes,
			Image: p.Spec.Containers[0].Image, ImageID: fmt.Sprintf("registry.example.com/team/service@sha256:%064x", rnd.Int63()),
			ContainerID: fmt.Sprintf("containerd://%064x", rnd.Int63()),
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: born}}}}
	}
	for _, t := range []corev1.PodConditionType{"PodReadyToStartContainers", corev1.PodInitialized, corev1.PodReady,
		corev1.ContainersReady, corev1.PodScheduled} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: t, Status: ready, LastTransitionTime: born})
	}
	return p
}

// What the server notes about who set what: a third of a Pod.
const (
	podSpecFields = `{"f:metadata":{"f:annotations":{".":{},"f:prometheus.io/port":{},"f:prometheus.io/scrape":{}},"f:labels":{".":{},` +
		`"f:app":{},"f:app.kubernetes.io/managed-by":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},` +
		`"k:{\"uid\":\"00000000-0000-0000-0000-000000000000\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:env":{` +
		`".":{},"k:{\"name\":\"LOG_LEVEL\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"POD_NAME\"}":{".":{},"f:name":{},` +
		`"f:valueFrom":{".":{},"f:fieldRef":{}}}},"f:image":{},"f:imagePullPolicy":{},"f:livenessProbe":{".":{},"f:failureThreshold":{},` +
		`"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},` +
		`"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},` +
		`"f:protocol":{}}},"f:readinessProbe":{".":{},"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},` +
		`"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},"f:resources":{".":{},"f:limits":{".":{},"f:memory":{}},` +
		`"f:requests":{".":{},"f:cpu":{},"f:memory":{}}},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},` +
		`"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}`
	podStatusFields = `{"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},` +
		`"f:status":{},"f:type":{}},"k:{\"type\":\"Initialized\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},` +
		`"f:type":{}},"k:{\"type\":\"PodReadyToStartContainers\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},` +
		`"f:type":{}},"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},` +
		`"f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:phase":{},"f:podIP":{},"f:podIPs":{".":{},"k:{\"ip\":\"0.0.0.0\"}":{` +
		`".":{},"f:ip":{}}},"f:startTime":{}}}`
)

func (s *etcdStore) createPod(ctx context.Context, o *corev1.Pod) error {
	s.stored(&o.ObjectMeta, "v1", podSpecFields)
	if len(o.ManagedFields) == 1 {
		now := metav1.NewTime(time.Now())
		o.ManagedFields = append(o.ManagedFields, metav1.ManagedFieldsEntry{Manager: "kubelet",
			Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &now, FieldsType: "FieldsV1",
			FieldsV1: &metav1.FieldsV1{Raw: []byte(podStatusFields)}, Subresource: "status"})
	}
	return s.create(ctx, o)
}

// createPod makes a Pod through the API server, and then writes its status, as a kubelet
// would. Of its spec just enough is kept to be taken by any cluster.
func createPod(ctx context.Context, cs kubernetes.Interface, o *corev1.Pod) error {
	clean(&o.ObjectMeta)
	o.OwnerReferences = nil // a garbage collector would look for them
	spec := corev1.PodSpec{NodeName: o.Spec.NodeName, HostNetwork: o.Spec.HostNetwork}
	for _, c := range o.Spec.Containers {
		spec.Containers = append(spec.Containers, corev1.Container{Name: c.Name, Image: c.Image})
	}
	made := o.DeepCopy()
	made.Spec = spec
	got, err := cs.CoreV1().Pods(o.Namespace).Create(ctx, made, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	got.Status = o.Status
	return retry(ctx, func() error {
		_, err := cs.CoreV1().Pods(o.Namespace).UpdateStatus(ctx, got, metav1.UpdateOptions{})
		return err
	})
}

// createAccounts makes the service account that Pods of each namespace are admitted with;
// without a kube-controller-manager nobody else does.
func createAccounts(ctx context.Context, cs kubernetes.Interface, pods []*corev1.Pod) error {
	done := map[string]bool{}
	for _, p := range pods {
		if done[p.Namespace] {
			continue
		}
		done[p.Namespace] = true
		a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: p.Namespace}}
		_, err := cs.CoreV1().ServiceAccounts(p.Namespace).Create(ctx, a, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("service account of %s: %w", p.Namespace, err)
		}
	}
	return nil
}
