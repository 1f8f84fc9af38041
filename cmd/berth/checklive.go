package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

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
