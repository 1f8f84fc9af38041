package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/manifests"
)

// liveCluster is a cluster whose facts count, and whose DaemonSets are updated by the files.
type liveCluster struct{ client.Client }

// connect returns the cluster that the flags name; nil where they name none: offline means offline.
func (o *checkOptions) connect() (*liveCluster, error) {
	if o.kubeconfig == "" && o.kubeContext == "" {
		return nil, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	kubeconfig := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.kubeContext})
	config, err := kubeconfig.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	config.UserAgent, config.QPS = "berth/"+version, -1
	if o.namespace == "" {
		if o.namespace, _, err = kubeconfig.Namespace(); err != nil {
			return nil, fmt.Errorf("find the namespace of the context: %w", err)
		}
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Namespace{}, &corev1.NamespaceList{})
	mapper, err := newMapper(nil, nil)
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return &liveCluster{c}, nil
}

// addFacts adds the cluster's policies, namespaces and nodes. What the files have of the same name counts in their place.
func (c *liveCluster) addFacts(ctx context.Context, set *manifests.Set) error {
	var policies v1alpha1.PlacementPolicyList
	var namespaces corev1.NamespaceList
	var nodes corev1.NodeList
	for what, list := range map[string]client.ObjectList{"policies": &policies, "namespaces": &namespaces, "nodes": &nodes} {
		if err := c.List(ctx, list); err != nil {
			return fmt.Errorf("read the cluster's %s: %w", what, err)
		}
	}
	for _, policy := range policies.Items {
		if !slices.ContainsFunc(set.Policies, func(p manifests.Policy) bool { return p.Object.Name == policy.Name }) {
			set.Policies = append(set.Policies, manifests.Policy{Object: policy})
		}
	}
	for _, namespace := range namespaces.Items {
		if !slices.ContainsFunc(set.Namespaces, func(n corev1.Namespace) bool { return n.Name == namespace.Name }) {
			set.Namespaces = append(set.Namespaces, namespace)
		}
	}
	inFiles := map[string]bool{}
	for _, node := range set.Nodes {
		inFiles[node.Name] = true
	}
	for i := range nodes.Items {
		if !inFiles[nodes.Items[i].Name] {
			set.Nodes = append(set.Nodes, &nodes.Items[i])
		}
	}
	return nil
}

// stored returns a DaemonSet as the API server sends it to webhooks; nil where there is none.
func (c *liveCluster) stored(ctx context.Context, namespace, name string) ([]byte, error) {
	if c == nil || name == "" {
		return nil, nil
	}
	ds := &unstructured.Unstructured{}
	ds.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, ds)
	if apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read DaemonSet %s/%s from the cluster: %w", namespace, name, err)
	}
	return ds.MarshalJSON()
}

// appliedTo is the stored object after kubectl apply -f of the manifest (k8s.io/kubectl pkg/cmd/apply patcher.go).
func appliedTo(stored, manifest []byte) ([]byte, error) {
	var current metav1.PartialObjectMetadata
	if err := json.Unmarshal(stored, &current); err != nil {
		return nil, err
	}
	var before []byte
	if last := current.Annotations[corev1.LastAppliedConfigAnnotation]; last != "" {
		before = []byte(last)
	}
	var modified map[string]any
	if err := json.Unmarshal(manifest, &modified); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, manifest); err != nil {
		return nil, err
	}
	if err := unstructured.SetNestedField(modified, compact.String()+"\n", "metadata", "annotations", corev1.LastAppliedConfigAnnotation); err != nil {
		return nil, err
	}
	after, err := json.Marshal(modified)
	if err != nil {
		return nil, err
	}
	meta, err := strategicpatch.NewPatchMetaFromStruct(appsv1.DaemonSet{})
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(before, after, stored, meta, true)
	if err != nil {
		return nil, err
	}
	return strategicpatch.StrategicMergePatch(stored, patch, appsv1.DaemonSet{})
}
