package main

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// daemonSetVersion is a DaemonSet at one moment: as the API server sends it to webhooks, and decoded.
type daemonSetVersion struct {
	raw    []byte
	object *appsv1.DaemonSet
}

func newDaemonSetVersion(raw []byte) (*daemonSetVersion, error) {
	v := &daemonSetVersion{raw: raw, object: &appsv1.DaemonSet{}}
	if err := json.Unmarshal(raw, v.object); err != nil {
		return nil, fmt.Errorf("decode a DaemonSet: %w", err)
	}
	return v, nil
}

func (v *daemonSetVersion) key() string { return v.object.Namespace + "/" + v.object.Name }

// daemonSets reads all DaemonSets.
func (c *liveCluster) daemonSets(ctx context.Context) ([]*daemonSetVersion, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSetList"))
	if err := c.List(ctx, list); err != nil {
		return nil, fmt.Errorf("read the cluster's DaemonSets: %w", err)
	}
	var versions []*daemonSetVersion
	for i := range list.Items {
		raw, err := list.Items[i].MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("encode a DaemonSet: %w", err)
		}
		v, err := newDaemonSetVersion(raw)
		if err != nil {
			return nil, err
		}
		versions = append(versions, v)
	}
	return versions, nil
}

// nodesWithPods returns the nodes that have a pod of the DaemonSet. Only of those is it asked that have pods where none belong.
func (c *liveCluster) nodesWithPods(ctx context.Context, ds *appsv1.DaemonSet) (nodes []string, err error) {
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(ds.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("read the pods of DaemonSet %s/%s: %w", ds.Namespace, ds.Name, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if metav1.IsControlledBy(pod, ds) && pod.DeletionTimestamp == nil && pod.Spec.NodeName != "" {
			nodes = append(nodes, pod.Spec.NodeName)
		}
	}
	return nodes, nil
}
