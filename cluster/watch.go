package cluster

import (
	"context"
	"fmt"
	"maps"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
)

// namespaceKind and nodeKind are watched as metadata only: the API server sends,
// and the informers keep, neither the spec nor the status, which for nodes are
// most of the object and change all the time.
var (
	namespaceKind = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	nodeKind      = schema.GroupVersionKind{Version: "v1", Kind: "Node"}
)

func metadataOf(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	return object
}

// CacheOptions makes a cache keep what Facts reads and no more.
func CacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			metadataOf(namespaceKind): {Transform: keepLabels},
			metadataOf(nodeKind):      {Transform: keepLabels},
		},
	}
}

// keepLabels strips an object to its name and labels. Few different labels make
// up those of thousands of nodes, so each string is kept once.
func keepLabels(object any) (any, error) {
	full, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	labels := make(map[string]string, len(full.Labels))
	for key, value := range full.Labels {
		labels[unique.Make(key).Value()] = unique.Make(value).Value()
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name:   full.Name,
		Labels: labels,
		// Without it, informers take every update for a mere resync.
		ResourceVersion: full.ResourceVersion,
	}}, nil
}

// watch hands the changes of all three kinds to Facts, and returns what tells
// when those from the first list have been handed over.
func (f *Facts) watch(ctx context.Context) ([]toolscache.DoneChecker, error) {
	handlers := []struct {
		object  client.Object
		handler toolscache.ResourceEventHandler
	}{
		{&v1alpha1.PlacementPolicy{}, policyEvents(f.policiesChanged)},
		{metadataOf(namespaceKind), labelEvents(f.namespaceChanged)},
		{metadataOf(nodeKind), labelEvents(f.nodeChanged)},
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

// labelEvents calls changed with the object of each event that changes labels;
// gone says that it was deleted.
func labelEvents(changed func(object *metav1.PartialObjectMetadata, gone bool)) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(added any) {
			if object, ok := added.(*metav1.PartialObjectMetadata); ok {
				changed(object, false)
			}
		},
		UpdateFunc: func(before, after any) {
			was, ok := before.(*metav1.PartialObjectMetadata)
			is, alsoOK := after.(*metav1.PartialObjectMetadata)
			if ok && alsoOK && !maps.Equal(was.Labels, is.Labels) {
				changed(is, false)
			}
		},
		DeleteFunc: func(deleted any) {
			if missed, ok := deleted.(toolscache.DeletedFinalStateUnknown); ok {
				deleted = missed.Obj
			}
			if object, ok := deleted.(*metav1.PartialObjectMetadata); ok {
				changed(object, true)
			}
		},
	}
}
