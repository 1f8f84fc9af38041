package live

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
)

// namespaceKind is watched as metadata only. Nodes cannot be, for their taints
// are in the spec. That costs decoding: of the status, which is most of a node and
// which its kubelet reports every few minutes. It costs no memory: what placement
// does not read goes as soon as an object is decoded, before it is stored, and the
// first list arrives as a stream (client-go's WatchListClient).
var namespaceKind = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}

func newNamespace() *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(namespaceKind)
	return object
}

// CacheOptions makes a cache keep what Facts reads and no more.
func CacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			newNamespace(): {Transform: stripNamespace},
			&corev1.Node{}: {Transform: stripNode},
		},
	}
}

// stripNamespace keeps name, labels and annotations.
func stripNamespace(object any) (any, error) {
	full, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	stripped := &metav1.PartialObjectMetadata{ObjectMeta: identity(&full.ObjectMeta)}
	stripped.Annotations = keptAnnotations(full.Annotations)
	return stripped, nil
}

// keptAnnotations returns the annotations without kubectl's copy of the object:
// nobody places by it, and it is longer than all the others.
func keptAnnotations(all map[string]string) map[string]string {
	if _, ok := all[corev1.LastAppliedConfigAnnotation]; !ok {
		return all
	}
	kept := maps.Clone(all)
	delete(kept, corev1.LastAppliedConfigAnnotation)
	return kept
}

// stripNode keeps name, labels and the taints that can keep a pod off.
func stripNode(object any) (any, error) {
	full, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	return &corev1.Node{
		ObjectMeta: identity(&full.ObjectMeta),
		Spec:       corev1.NodeSpec{Taints: cluster.BlockingTaints(full.Spec.Taints)},
	}, nil
}

// identity keeps name and labels. Few different labels make up those of thousands
// of nodes, so each string is kept once.
func identity(full *metav1.ObjectMeta) metav1.ObjectMeta {
	labels := make(map[string]string, len(full.Labels))
	for key, value := range full.Labels {
		labels[unique.Make(key).Value()] = unique.Make(value).Value()
	}
	return metav1.ObjectMeta{
		Name:   full.Name,
		Labels: labels,
		// Without it, informers take every update for a mere resync.
		ResourceVersion: full.ResourceVersion,
	}
}

// watch hands the changes of all three kinds to Facts, and returns what tells
// when those from the first list have been handed over.
func (f *Facts) watch(ctx context.Context) ([]toolscache.DoneChecker, error) {
	handlers := []struct {
		object  client.Object
		handler toolscache.ResourceEventHandler
	}{
		{&v1alpha1.PlacementPolicy{}, policyEvents(f.policiesChanged)},
		{newNamespace(), events(sameNamespace, f.namespaceChanged)},
		{&corev1.Node{}, events(sameNode, f.nodeChanged)},
	}
	synced := make([]toolscache.DoneChecker, 0, len(handlers))
	for _, h := range handlers {
		informer, err := f.cache.GetInformer(ctx, h.object, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", h.object, err)
		}
		registration, err := informer.AddEventHandler(h.handler)
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", h.object, err)
		}
		synced = append(synced, registration.HasSyncedChecker())
	}
	return synced, nil
}

// policyEvents calls changed for each event that may change what a policy means.
// The status does not: berth itself writes it.
func policyEvents(changed func()) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() },
		UpdateFunc: func(before, after any) {
			was, ok := before.(*v1alpha1.PlacementPolicy)
			is, alsoOK := after.(*v1alpha1.PlacementPolicy)
			if ok && alsoOK && was.UID == is.UID && was.Generation == is.Generation {
				return
			}
			changed()
		},
		DeleteFunc: func(any) { changed() },
	}
}

func sameNamespace(a, b *metav1.PartialObjectMetadata) bool {
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

func sameNode(a, b *corev1.Node) bool {
	return maps.Equal(a.Labels, b.Labels) && slices.Equal(a.Spec.Taints, b.Spec.Taints)
}

// events calls changed with the object of each event that leaves it not the same;
// gone says that it was deleted.
func events[T any](same func(a, b T) bool, changed func(object T, gone bool)) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(added any) {
			if object, ok := added.(T); ok {
				changed(object, false)
			}
		},
		UpdateFunc: func(before, after any) {
			was, ok := before.(T)
			is, alsoOK := after.(T)
			if ok && alsoOK && !same(was, is) {
				changed(is, false)
			}
		},
		DeleteFunc: func(deleted any) {
			if missed, ok := deleted.(toolscache.DeletedFinalStateUnknown); ok {
				deleted = missed.Obj
			}
			if object, ok := deleted.(T); ok {
				changed(object, true)
			}
		},
	}
}
