package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
)

// anyClient reaches any kind of object, at the price of one discovery request
// per group version.
type anyClient struct {
	dyn   dynamic.Interface
	disco discovery.DiscoveryInterface
	known map[string]*metav1.APIResourceList
}

func newAnyClient(kubeconfig string) (*anyClient, error) {
	cfg, err := restConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &anyClient{dyn, disco, map[string]*metav1.APIResourceList{}}, nil
}

func (c *anyClient) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gv, err := schema.ParseGroupVersion(o.GetAPIVersion())
	if err != nil {
		return nil, err
	}
	l := c.known[gv.String()]
	if l == nil {
		if l, err = c.disco.ServerResourcesForGroupVersion(gv.String()); err != nil {
			return nil, err
		}
		c.known[gv.String()] = l
	}
	for _, r := range l.APIResources {
		if r.Kind != o.GetKind() || (r.Group != "" && r.Group != gv.Group) {
			continue
		}
		// subresources share their parent's kind; they have a slash
		if gvr := gv.WithResource(r.Name); !strings.Contains(r.Name, "/") {
			if !r.Namespaced {
				return c.dyn.Resource(gvr), nil
			}
			if o.GetNamespace() == "" {
				o.SetNamespace("default")
			}
			return c.dyn.Resource(gvr).Namespace(o.GetNamespace()), nil
		}
	}
	return nil, fmt.Errorf("the server does not know %s %s", o.GetAPIVersion(), o.GetKind())
}

func forStdin(kubeconfig string, f func(c *anyClient, o *unstructured.Unstructured, r dynamic.ResourceInterface) error) error {
	c, err := newAnyClient(kubeconfig)
	if err != nil {
		return err
	}
	return readItems(os.Stdin, func(apiVersion, kind string, raw []byte) error {
		o := &unstructured.Unstructured{}
		if err := json.Unmarshal(raw, &o.Object); err != nil {
			return err
		}
		o.SetAPIVersion(apiVersion)
		o.SetKind(kind)
		r, err := c.resource(o)
		if err != nil {
			return err
		}
		if err := f(c, o, r); err != nil {
			return fmt.Errorf("%s %s/%s: %w", kind, o.GetNamespace(), o.GetName(), err)
		}
		return nil
	})
}

func cmdApply(ctx context.Context, args []string) error {
	fs := newFlags("apply")
	kubeconfig := kubeconfigFlag(fs)
	parse(fs, args)
	return forStdin(*kubeconfig, func(_ *anyClient, o *unstructured.Unstructured, r dynamic.ResourceInterface) error {
		verb := "created"
		for _, f := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"} {
			unstructured.RemoveNestedField(o.Object, "metadata", f)
		}
		status, hasStatus := o.Object["status"].(map[string]any)
		got, err := r.Create(ctx, o, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			verb = "replaced"
			if got, err = r.Get(ctx, o.GetName(), metav1.GetOptions{}); err != nil {
				return err
			}
			o.SetResourceVersion(got.GetResourceVersion())
			got, err = r.Update(ctx, o, metav1.UpdateOptions{})
		}
		if err != nil {
			return err
		}
		// Writes to the object itself ignore status, where Pods keep their addresses.
		if hasStatus && len(status) > 0 {
			got.Object["status"] = status
			if got, err = r.UpdateStatus(ctx, got, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		fmt.Printf("%s %s/%s %s\n", o.GetKind(), o.GetNamespace(), o.GetName(), verb)
		return nil
	})
}

func cmdDelete(ctx context.Context, args []string) error {
	fs := newFlags("delete")
	kubeconfig := kubeconfigFlag(fs)
	ignore := fs.Bool("ignore-not-found", false, "what is not there is deleted already")
	parse(fs, args)
	return forStdin(*kubeconfig, func(_ *anyClient, o *unstructured.Unstructured, r dynamic.ResourceInterface) error {
		now := int64(0) // no kubelet will ever confirm the end of a Pod
		err := r.Delete(ctx, o.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now})
		if err != nil && !(*ignore && apierrors.IsNotFound(err)) {
			return err
		}
		fmt.Printf("%s %s/%s deleted\n", o.GetKind(), o.GetNamespace(), o.GetName())
		return nil
	})
}
