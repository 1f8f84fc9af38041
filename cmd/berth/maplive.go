package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// name is that of the context that the flags name, or else kubectl's.
func (f *clusterFlags) name() (string, error) {
	raw, err := f.clientConfig().RawConfig()
	if err != nil {
		return "", fmt.Errorf("find the API server: %w", err)
	}
	if f.context != "" {
		return f.context, nil
	}
	return raw.CurrentContext, nil
}

// mapOfCluster reads a cluster: each kind in one list.
func mapOfCluster(ctx context.Context, live *liveCluster, name string) (*mapFacts, error) {
	f := &mapFacts{title: name, at: time.Now()}
	if err := f.readPlaces(ctx, live); err != nil {
		return nil, err
	}
	if err := f.readDaemonSets(ctx, live); err != nil {
		return nil, err
	}
	err := f.readPods(ctx, live)
	if err := f.forgive(err, "list pods in all namespaces", "where pods run: the map shows where they would"); err != nil {
		return nil, err
	}
	if f.pods != nil {
		if err := f.readBeside(ctx, live); err != nil {
			return nil, err
		}
	}
	if err := live.addPodDefaults(ctx, &f.set, &f.unknowns); err != nil {
		return nil, err
	}
	f.webhooks, err = live.webhooks(ctx)
	f.webhooksKnown = err == nil
	return f, f.forgive(err, "list mutatingwebhookconfigurations and validatingwebhookconfigurations",
		"which DaemonSets berth is asked about: taken from the flags --excluded-namespaces, --excluded-priority-classes and --namespace-selector")
}

// readPlaces reads nodes, namespaces and policies.
func (f *mapFacts) readPlaces(ctx context.Context, live *liveCluster) error {
	var nodes corev1.NodeList
	if err := live.List(ctx, &nodes); apierrors.IsForbidden(err) {
		return fmt.Errorf("you lack the right to list nodes, and a map is of nodes: ask for it, or draw it from files with -f (%w)", err)
	} else if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for i := range nodes.Items {
		nodes.Items[i].Status.Images = nil // the most of it
		f.set.Nodes = append(f.set.Nodes, &nodes.Items[i])
	}
	var namespaces corev1.NamespaceList
	err := live.List(ctx, &namespaces)
	f.set.Namespaces = namespaces.Items
	if err := f.forgive(err, "list namespaces", "labels and annotations of namespaces, which are taken to have none"); err != nil {
		return err
	}
	f.set.Policies, err = live.policies(ctx)
	f.noPolicies = err != nil
	return f.forgive(err, "list placementpolicies", "which policies apply")
}

// readDaemonSets reads them whole: matchConditions may look at any field.
func (f *mapFacts) readDaemonSets(ctx context.Context, live *liveCluster) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSetList"))
	if err := live.List(ctx, list); apierrors.IsForbidden(err) {
		return fmt.Errorf("you lack the right to list daemonsets in all namespaces: ask for it, or draw the map from files with -f (%w)", err)
	} else if err != nil {
		return fmt.Errorf("list daemonsets: %w", err)
	}
	for i := range list.Items {
		ds := &mappedDaemonSet{&appsv1.DaemonSet{}, list.Items[i].Object}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(ds.whole, ds.DaemonSet); err != nil {
			return fmt.Errorf("decode DaemonSet %s/%s: %w", list.Items[i].GetNamespace(), list.Items[i].GetName(), err)
		}
		f.daemonSets = append(f.daemonSets, ds)
	}
	return nil
}

// podsAtOnce is the pods of one page of their list.
const podsAtOnce = 1000

func (f *mapFacts) readPods(ctx context.Context, live *liveCluster) error {
	pods := map[types.UID][]*corev1.Pod{}
	var page corev1.PodList
	for options := (&client.ListOptions{Limit: podsAtOnce}); ; options.Continue = page.Continue {
		page = corev1.PodList{}
		if err := live.List(ctx, &page, options); err != nil {
			return err
		}
		f.pods = pods
		for i := range page.Items {
			f.addPod(&page.Items[i])
		}
		if page.Continue == "" {
			return nil
		}
	}
}

// readBeside reads what else tells of pods: of which template they are, and why there are none.
func (f *mapFacts) readBeside(ctx context.Context, live *liveCluster) error {
	var revisions appsv1.ControllerRevisionList
	err := live.List(ctx, &revisions)
	f.revisions = map[types.UID][]appsv1.ControllerRevision{}
	for i := range revisions.Items {
		if owner := metav1.GetControllerOf(&revisions.Items[i]); owner != nil {
			f.revisions[owner.UID] = append(f.revisions[owner.UID], revisions.Items[i])
		}
	}
	if err := f.forgive(err, "list controllerrevisions in all namespaces", "which pods are of the current template"); err != nil {
		return err
	}
	var events corev1.EventList
	failed := fields.Set{"involvedObject.kind": "DaemonSet", "reason": "FailedCreate"}
	err = live.List(ctx, &events, client.MatchingFieldsSelector{Selector: failed.AsSelector()})
	last := map[types.UID]*corev1.Event{}
	for i := range events.Items {
		e := &events.Items[i]
		if known := last[e.InvolvedObject.UID]; known == nil || known.LastTimestamp.Before(&e.LastTimestamp) {
			last[e.InvolvedObject.UID] = e
		}
	}
	f.createErrors = map[types.UID]string{}
	for uid, event := range last {
		f.createErrors[uid] = strings.TrimPrefix(event.Message, "Error creating: ")
	}
	return f.forgive(err, "list events in all namespaces", "why pods could not be created")
}
