package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/cluster"
	"berth.dev/berth/manifests"
)

// mapFacts is all that a map is drawn from.
type mapFacts struct {
	// title says of which cluster, and at when, for one that is asked.
	title string
	at    time.Time

	daemonSets []*mappedDaemonSet
	set        manifests.Set // policies, namespaces and nodes
	// pods is by the UID of the DaemonSet that controls them; nil: nothing is known of pods.
	pods map[types.UID][]*corev1.Pod
	// revisions and createErrors are by the UID of the DaemonSet.
	revisions    map[types.UID][]appsv1.ControllerRevision
	createErrors map[types.UID]string
	// webhooks are berth's; known says that they could be read.
	webhooks      []cluster.Webhook
	webhooksKnown bool
	noPolicies    bool
	unknowns
}

// mappedDaemonSet is a DaemonSet, and whole as matchConditions see it.
type mappedDaemonSet struct {
	*appsv1.DaemonSet
	whole map[string]any
}

// mapOfFiles reads files, folders and standard input.
func mapOfFiles(paths []string, stdin io.Reader) (*mapFacts, error) {
	f := &mapFacts{}
	var names []string
	for _, path := range paths {
		if err := f.set.ReadPath(path, stdin); err != nil {
			return nil, err
		}
		if path == "-" {
			path = "standard input"
		}
		names = append(names, filepath.Base(path))
	}
	f.title = strings.Join(names, ", ")
	if err := malformed(&f.set); err != nil {
		return nil, err
	}
	from := strings.Join(paths, ", ")
	switch {
	case len(f.set.DaemonSets) == 0:
		return nil, fmt.Errorf("no DaemonSet is in %s: add what kubectl get daemonsets -A -o yaml prints", from)
	case len(f.set.Nodes) == 0:
		return nil, fmt.Errorf("no node is in %s: add what kubectl get nodes -o yaml prints", from)
	}
	for i := range f.set.DaemonSets {
		ds := f.set.DaemonSets[i].Object
		ds.Namespace = cmp.Or(ds.Namespace, metav1.NamespaceDefault)
		if err := f.add(ds); err != nil {
			return nil, fmt.Errorf("%s: %w", f.set.DaemonSets[i].Field(""), err)
		}
	}
	if len(f.set.Pods) > 0 {
		f.pods = map[types.UID][]*corev1.Pod{}
	}
	for _, pod := range f.set.Pods {
		f.addPod(pod)
	}
	return f, nil
}

// add adds a DaemonSet that is decoded already.
func (f *mapFacts) add(ds *appsv1.DaemonSet) error {
	whole, err := runtime.DefaultUnstructuredConverter.ToUnstructured(ds)
	if err != nil {
		return err
	}
	f.daemonSets = append(f.daemonSets, &mappedDaemonSet{ds, whole})
	return nil
}

// addPod adds a pod of which a DaemonSet is the controller, and of it only what coverage looks at: there can be very many.
func (f *mapFacts) addPod(pod *corev1.Pod) {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || owner.Kind != "DaemonSet" {
		return
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp,
			Labels:          map[string]string{appsv1.DefaultDaemonSetUniqueLabelKey: pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey]},
			OwnerReferences: []metav1.OwnerReference{*owner},
		},
		Spec: corev1.PodSpec{NodeName: pod.Spec.NodeName, SchedulingGates: pod.Spec.SchedulingGates, ReadinessGates: pod.Spec.ReadinessGates},
		Status: corev1.PodStatus{
			Phase: pod.Status.Phase, Reason: pod.Status.Reason, Message: pod.Status.Message, Conditions: pod.Status.Conditions,
			InitContainerStatuses: pod.Status.InitContainerStatuses, ContainerStatuses: pod.Status.ContainerStatuses,
		},
	}
	if pod.Spec.NodeName == "" {
		kept.Spec.Affinity = pod.Spec.Affinity
	}
	f.pods[owner.UID] = append(f.pods[owner.UID], kept)
}
