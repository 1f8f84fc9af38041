package audit

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"berth.dev/berth/cluster"
)

// Leases of replicas that are silent are deleted after forgetAfter: a Pod's go
// with it, but not every replica runs in a Pod.
const (
	forgetAfter  = time.Minute
	forgetEvery  = 10 * time.Second
	longestLease = time.Minute
)

// Replicas is what the replicas say of themselves. A replica is alive until it
// has been silent for as long as its Lease says, by the clock of the one that
// looks: clocks need not agree.
type Replicas struct {
	leases coordinationv1client.LeaseInterface
	leads  func() bool
	synced func() bool
	now    func() time.Time

	mu    sync.Mutex
	known map[string]knownReplica
}

// knownReplica is a replica's Lease as seen last.
type knownReplica struct {
	heard    time.Time
	duration time.Duration
	version  string
	says     string
	uses     statement
}

// NewReplicas returns what follows the Leases. The leader deletes those that
// have ended.
func NewReplicas(leases coordinationv1client.LeaseInterface, election *Election) *Replicas {
	return &Replicas{
		leases: leases, leads: election.Leads, now: time.Now,
		synced: func() bool { return false }, known: map[string]knownReplica{},
	}
}

// NeedLeaderElection tells the manager to run it on every replica: who becomes
// the leader must know already who is silent.
func (r *Replicas) NeedLeaderElection() bool { return false }

// Start follows the Leases until the context ends.
func (r *Replicas) Start(ctx context.Context) error {
	labelled := func(options metav1.ListOptions) metav1.ListOptions {
		options.LabelSelector = replicaLabel
		return options
	}
	_, informer := toolscache.NewInformerWithOptions(toolscache.InformerOptions{
		ListerWatcher: &toolscache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return r.leases.List(ctx, labelled(options))
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				return r.leases.Watch(ctx, labelled(options))
			},
		},
		ObjectType: &coordinationv1.Lease{},
		Handler: toolscache.ResourceEventHandlerFuncs{
			AddFunc:    r.heard,
			UpdateFunc: func(_, updated any) { r.heard(updated) },
			DeleteFunc: r.gone,
		},
	})
	r.mu.Lock()
	r.synced = informer.HasSynced
	r.mu.Unlock()
	go informer.RunWithContext(ctx)
	for ctx.Err() == nil {
		wait(ctx, forgetEvery)
		if r.leads() {
			r.forget(ctx)
		}
	}
	return nil
}

func (r *Replicas) heard(object any) {
	lease, ok := object.(*coordinationv1.Lease)
	if !ok {
		return
	}
	duration := longestLease
	if seconds := lease.Spec.LeaseDurationSeconds; seconds != nil {
		duration = min(duration, time.Duration(*seconds)*time.Second)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.known[lease.Name]
	if last.version == lease.ResourceVersion {
		return // the informer says again what it has said
	}
	next := knownReplica{heard: r.now(), duration: duration, version: lease.ResourceVersion, says: lease.Annotations[policiesAnnotation]}
	if next.uses = last.uses; next.says != last.says {
		next.uses = decodeStatement(next.says)
	}
	r.known[lease.Name] = next
}

func (r *Replicas) gone(object any) {
	name, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		return
	}
	_, name, _ = toolscache.SplitMetaNamespaceKey(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, name)
}

// without returns the replicas that are alive and do not say that they use this
// version of a policy, sorted; known says whether all replicas have been heard
// of.
func (r *Replicas) without(version cluster.PolicyVersion) (names []string, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.synced() {
		return nil, false
	}
	now := r.now()
	for _, name := range slices.Sorted(maps.Keys(r.known)) {
		if replica := r.known[name]; now.Sub(replica.heard) <= replica.duration && !replica.uses.uses(version) {
			names = append(names, name)
		}
	}
	return names, true
}

// forget deletes Leases that have ended long ago.
func (r *Replicas) forget(ctx context.Context) {
	r.mu.Lock()
	ended := map[string]string{}
	for name, replica := range r.known {
		if r.now().Sub(replica.heard) > replica.duration+forgetAfter {
			ended[name] = replica.version
		}
	}
	r.mu.Unlock()
	for name, version := range ended {
		// One that has come back has another version. What fails is tried again.
		_ = r.leases.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &version}})
	}
}
