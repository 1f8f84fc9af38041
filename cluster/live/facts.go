package live

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// settle is how long Facts waits after a change for others that come with it,
// before it publishes them all. Users notice none of it; a rollout that labels
// thousands of nodes is one snapshot in each such time instead of thousands.
const settle = 25 * time.Millisecond

// Facts follows the cluster and publishes what it knows as snapshots.
type Facts struct {
	cache cache.Cache
	live  client.Reader
	reads flowcontrol.PassiveRateLimiter // of live
	log   logr.Logger

	snapshot atomic.Pointer[cluster.Snapshot]

	mu      sync.Mutex
	pending changes
	dirty   chan struct{} // of one place: a signal that pending is not empty

	// conditions is the matchConditions of each policy, by its name. Only Start's
	// goroutine has it.
	conditions map[string]compiledConditions
}

// changes is what happened since the last snapshot.
type changes struct {
	policies   bool
	namespaces []cluster.NamespaceChange
	nodes      []cluster.NodeChange
}

// New returns facts that follow the cluster through the cache, which should
// have CacheOptions. The live reader is asked about namespaces that are not in
// the snapshot yet.
func New(informers cache.Cache, live client.Reader, log logr.Logger) *Facts {
	return &Facts{
		cache: informers,
		live:  live,
		reads: flowcontrol.NewTokenBucketPassiveRateLimiter(readsPerSecond, readsAtOnce),
		log:   log,
		dirty: make(chan struct{}, 1),
	}
}

// Snapshot returns what is known now. It is nil until everything is known once.
func (f *Facts) Snapshot() *cluster.Snapshot { return f.snapshot.Load() }

// Ready is a readiness check: it fails until the first snapshot.
func (f *Facts) Ready(*http.Request) error {
	if f.Snapshot() == nil {
		return errors.New("policies, namespaces and nodes are not all listed yet")
	}
	return nil
}

// NeedLeaderElection tells controller-runtime's manager that every replica needs
// facts.
func (f *Facts) NeedLeaderElection() bool { return false }

// Start publishes snapshots until the context ends.
func (f *Facts) Start(ctx context.Context) error {
	began := time.Now()
	synced, err := f.watch(ctx)
	if err != nil {
		return err
	}
	if !toolscache.WaitFor(ctx, "", synced...) {
		return nil
	}
	if err := f.publish(ctx, cluster.NewSnapshot(placement.Policies{}, nil, &cluster.NodeIndex{})); err != nil {
		return err
	}
	s := f.Snapshot()
	namespaces := 0
	for range s.Namespaces() {
		namespaces++
	}
	f.log.Info("Facts are complete", "policies", s.Policies().Len(), "namespaces", namespaces,
		"nodes", s.Nodes().Len(), "took", time.Since(began).Round(time.Millisecond).String())
	return f.follow(ctx)
}

func (f *Facts) follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.dirty:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settle):
		}
		if err := f.publish(ctx, f.Snapshot()); err != nil {
			return err
		}
	}
}

// publish replaces the snapshot by s with the pending changes.
func (f *Facts) publish(ctx context.Context, s *cluster.Snapshot) error {
	f.mu.Lock()
	pending := f.pending
	f.pending = changes{}
	f.mu.Unlock()

	if len(pending.nodes) > 0 {
		s = s.WithNodes(pending.nodes)
	}
	if len(pending.namespaces) > 0 {
		s = s.WithNamespaces(pending.namespaces)
	}
	if pending.policies {
		policies, programs, err := f.compile(ctx)
		if err != nil {
			return err
		}
		s = s.WithPolicies(policies, programs).WithPolicyVersions(f.policyVersions())
	}
	f.snapshot.Store(s)
	return nil
}

// policyVersions is what compile has looked at.
func (f *Facts) policyVersions() map[string]cluster.PolicyVersion {
	versions := make(map[string]cluster.PolicyVersion, len(f.conditions))
	for name, compiled := range f.conditions {
		versions[name] = cluster.PolicyVersion{UID: compiled.uid, Generation: compiled.generation}
	}
	return versions
}

func (f *Facts) policiesChanged() {
	f.change(func(c *changes) { c.policies = true })
}

func (f *Facts) namespaceChanged(object *metav1.PartialObjectMetadata, gone bool) {
	namespace := factsOf(object)
	f.change(func(c *changes) {
		c.namespaces = append(c.namespaces, cluster.NamespaceChange{Namespace: namespace, Gone: gone})
	})
}

func (f *Facts) nodeChanged(object *corev1.Node, gone bool) {
	node := cluster.NodeChange{Name: object.Name, Labels: object.Labels, Taints: object.Spec.Taints, Gone: gone}
	f.change(func(c *changes) { c.nodes = append(c.nodes, node) })
}

// change notes a change and wakes follow.
func (f *Facts) change(note func(*changes)) {
	f.mu.Lock()
	note(&f.pending)
	f.mu.Unlock()
	select {
	case f.dirty <- struct{}{}:
	default:
	}
}
