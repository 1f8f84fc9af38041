package audit

import (
	"context"
	"fmt"
	"maps"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"berth.dev/berth/placement"
)

// CacheDaemonSets makes a cache keep of DaemonSets what the audit reads.
func CacheDaemonSets() cache.ByObject { return cache.ByObject{Transform: strip} }

// strip reduces a DaemonSet to what placement reads of it, and its counters.
// The rest, containers and managed fields, is ten times as much.
func strip(object any) (any, error) {
	full, ok := object.(*appsv1.DaemonSet)
	if !ok {
		return object, nil
	}
	read := placement.ObjectOf(full)
	read.Annotations = maps.Clone(full.Annotations)
	// The whole object once more: no policy can mean it.
	delete(read.Annotations, corev1.LastAppliedConfigAnnotation)
	stripped := read.DaemonSet()
	stripped.UID, stripped.ResourceVersion, stripped.Generation = full.UID, full.ResourceVersion, full.Generation
	stripped.DeletionTimestamp = full.DeletionTimestamp
	stripped.Spec.Template.Spec.PriorityClassName = full.Spec.Template.Spec.PriorityClassName
	stripped.Status = appsv1.DaemonSetStatus{
		CurrentNumberScheduled: full.Status.CurrentNumberScheduled,
		NumberReady:            full.Status.NumberReady,
	}
	return stripped, nil
}

// decidedAlike says whether placement reads the same of two versions of one
// DaemonSet, so that only its counters have changed.
func decidedAlike(a, b *appsv1.DaemonSet) bool {
	return a.UID == b.UID && a.Generation == b.Generation &&
		a.DeletionTimestamp.Equal(b.DeletionTimestamp) &&
		maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

func sameCounters(a, b *appsv1.DaemonSet) bool {
	return a.Status.CurrentNumberScheduled == b.Status.CurrentNumberScheduled && a.Status.NumberReady == b.Status.NumberReady
}

// daemonSetStore holds all DaemonSets, as the informer does, and knows which of them have
// changed since the last audit.
type daemonSetStore struct {
	watching toolscache.DoneChecker // nil: not yet

	mu      sync.Mutex
	all     map[types.NamespacedName]*appsv1.DaemonSet
	changed map[types.NamespacedName]*appsv1.DaemonSet // nil: it is gone
}

// watch begins to fill the store, and says whether it is complete.
func (s *daemonSetStore) watch(ctx context.Context, informers cache.Cache) (complete bool, err error) {
	if s.watching == nil {
		informer, err := informers.GetInformer(ctx, &appsv1.DaemonSet{}, cache.BlockUntilSynced(false))
		if err != nil {
			return false, fmt.Errorf("watch DaemonSets: %w", err)
		}
		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(added any) { s.put(added, false) },
			UpdateFunc: func(_, updated any) { s.put(updated, false) },
			DeleteFunc: func(deleted any) {
				if missed, ok := deleted.(toolscache.DeletedFinalStateUnknown); ok {
					deleted = missed.Obj
				}
				s.put(deleted, true)
			},
		})
		if err != nil {
			return false, fmt.Errorf("watch DaemonSets: %w", err)
		}
		s.watching = registration.HasSyncedChecker()
	}
	select {
	case <-s.watching.Done():
		return true, nil
	default:
		return false, nil
	}
}

func (s *daemonSetStore) put(object any, gone bool) {
	ds, ok := object.(*appsv1.DaemonSet)
	if !ok {
		return
	}
	key := types.NamespacedName{Namespace: ds.Namespace, Name: ds.Name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[types.NamespacedName]*appsv1.DaemonSet{}
		s.changed = map[types.NamespacedName]*appsv1.DaemonSet{}
	}
	if gone {
		delete(s.all, key)
		s.changed[key] = nil
		return
	}
	if was := s.all[key]; was != nil && decidedAlike(was, ds) && sameCounters(was, ds) {
		return
	}
	s.all[key], s.changed[key] = ds, ds
}

// take returns the DaemonSets that have changed since it was called last, nil
// for those that are gone; or all of them.
func (s *daemonSetStore) take(all bool) map[types.NamespacedName]*appsv1.DaemonSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.changed
	s.changed = map[types.NamespacedName]*appsv1.DaemonSet{}
	if all {
		return maps.Clone(s.all)
	}
	return taken
}
