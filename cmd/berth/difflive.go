package main

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
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

// daemonPods returns which of the nodes have pods of a DaemonSet, by its UID.
func (c *liveCluster) daemonPods(ctx context.Context, nodes []string) (map[types.UID][]string, error) {
	on := map[types.UID][]string{}
	for _, node := range nodes {
		var pods corev1.PodList
		if err := c.List(ctx, &pods, client.MatchingFields{"spec.nodeName": node}); err != nil {
			return nil, fmt.Errorf("read the pods on node %s: %w", node, err)
		}
		for i := range pods.Items {
			owner := metav1.GetControllerOf(&pods.Items[i])
			if owner != nil && owner.Kind == "DaemonSet" && pods.Items[i].DeletionTimestamp == nil {
				on[owner.UID] = append(on[owner.UID], node)
			}
		}
	}
	return on, nil
}
