package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// settle is how long Facts waits after a change for others that come with it,
// before it publishes them all. Users notice none of it; a rollout that labels
// thousands of nodes is one snapshot in each such time instead of thousands.
const settle = 25 * time.Millisecond

// How many namespaces are read live. The API server asks only about those that
// exist, and of a new one the watch brings word in a moment; but whoever can
// connect to berth may name any. So few reads are in flight at a time that they
// all go through the connection that the watches use.
const (
	readsAtOnce    = 20
	readsPerSecond = 10
)

// ErrTooManyReads is why a namespace was not read: too many are asked for that
// nobody has heard of. It passes.
var ErrTooManyReads = errors.New("too many unknown namespaces are asked for at a time")

// Facts follows the cluster and publishes what it knows as snapshots.
type Facts struct {
	cache cache.Cache
	live  client.Reader
	reads flowcontrol.PassiveRateLimiter // of live
	log   logr.Logger

	snapshot atomic.Pointer[Snapshot]

	mu      sync.Mutex
	pending changes
	dirty   chan struct{} // of one place: a signal that pending is not empty

	// versions is what became of each policy. Only Start's goroutine has it.
	versions map[string]policyVersion
}

// changes is what happened since the last snapshot.
type changes struct {
	policies   bool
	namespaces []namespaceChange
	nodes      []NodeChange
}

// NewFacts returns facts that follow the cluster through the cache, which should
// have CacheOptions. The live reader is asked about namespaces that are not in
// the snapshot yet.
func NewFacts(informers cache.Cache, live client.Reader, log logr.Logger) *Facts {
	return &Facts{
		cache: informers,
		live:  live,
		reads: flowcontrol.NewTokenBucketPassiveRateLimiter(readsPerSecond, readsAtOnce),
		log:   log,
		dirty: make(chan struct{}, 1),
	}
}

// Snapshot returns what is known now. It is nil until everything is known once.
func (f *Facts) Snapshot() *Snapshot { return f.snapshot.Load() }

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

// Namespace reads a namespace from the API server: one that is younger than the
// snapshot. It returns ErrTooManyReads when too many are asked for.
func (f *Facts) Namespace(ctx context.Context, name string) (placement.Namespace, error) {
	if !f.reads.TryAccept() {
		return placement.Namespace{}, ErrTooManyReads
	}
	object := newNamespace()
	if err := f.live.Get(ctx, types.NamespacedName{Name: name}, object); err != nil {
		return placement.Namespace{}, fmt.Errorf("read namespace %s: %w", name, err)
	}
	return factsOf(object), nil
}

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
	if err := f.publish(ctx, NewSnapshot(placement.Policies{}, nil, &NodeIndex{})); err != nil {
		return err
	}
	s := f.Snapshot()
	f.log.Info("Facts are complete", "policies", s.policies.Len(), "namespaces", len(s.namespaces),
		"nodes", s.nodes.Len(), "took", time.Since(began).Round(time.Millisecond).String())
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
func (f *Facts) publish(ctx context.Context, s *Snapshot) error {
	f.mu.Lock()
	pending := f.pending
	f.pending = changes{}
	f.mu.Unlock()

	if len(pending.nodes) > 0 {
		s = s.withNodes(pending.nodes)
	}
	if len(pending.namespaces) > 0 {
		s = s.withNamespaces(pending.namespaces)
	}
	if pending.policies {
		policies, programs, err := f.compile(ctx)
		if err != nil {
			return err
		}
		s = s.withPolicies(policies, programs)
	}
	f.snapshot.Store(s)
	return nil
}

// compile compiles all policies. Of one with errors the last good version stays
// in force: a slip in an edit must not open the gate.
func (f *Facts) compile(ctx context.Context) (placement.Policies, map[string]*conditions.Program, error) {
	var list v1alpha1.PlacementPolicyList
	if err := f.cache.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return placement.Policies{}, nil, fmt.Errorf("list policies from the cache: %w", err)
	}
	policies, programs := f.compileAll(list.Items)
	return policies, programs, nil
}

func (f *Facts) compileAll(list []v1alpha1.PlacementPolicy) (placement.Policies, map[string]*conditions.Program) {
	inForce, missing := make([]v1alpha1.PlacementPolicy, 0, len(list)), false
	programs := map[string]*conditions.Program{}
	versions := make(map[string]policyVersion, len(list))
	for i := range list {
		version := f.versionOf(&list[i])
		versions[list[i].Name] = version
		if version.good == nil {
			missing = true
			continue
		}
		inForce = append(inForce, *version.good)
		if !version.program.Empty() {
			programs[list[i].Name] = version.program
		}
	}
	f.versions = versions
	policies, _ := placement.Compile(inForce)
	if missing {
		policies = policies.Incomplete()
	}
	return policies, programs
}

// policyVersion is the newest version of a policy that has been looked at, and
// what of it is in force.
type policyVersion struct {
	uid        types.UID
	generation int64
	// good is the last version without errors, nil when there was none, and
	// program its matchConditions.
	good    *v1alpha1.PlacementPolicy
	program *conditions.Program
}

// versionOf compiles the matchConditions, which takes a millisecond or so, of a
// policy that has changed.
func (f *Facts) versionOf(policy *v1alpha1.PlacementPolicy) policyVersion {
	last, seen := f.versions[policy.Name]
	switch {
	case !seen || last.uid != policy.UID:
		// One that was deleted and made anew has no former version.
		last = policyVersion{uid: policy.UID}
	case last.generation == policy.Generation:
		return last
	}
	last.generation = policy.Generation
	program, errs := compileOne(policy)
	if len(errs) > 0 {
		f.log.Error(errs.ToAggregate(), "Policy is invalid: edit it", "policy", policy.Name,
			"generation", policy.Generation, "lastGoodStaysInForce", last.good != nil)
		return last
	}
	good := *policy // Not a pointer into the list, which would stay for this one policy's sake.
	last.good, last.program = &good, program
	return last
}

func (f *Facts) policiesChanged() {
	f.change(func(c *changes) { c.policies = true })
}

func (f *Facts) namespaceChanged(object *metav1.PartialObjectMetadata, gone bool) {
	namespace := factsOf(object)
	f.change(func(c *changes) { c.namespaces = append(c.namespaces, namespaceChange{namespace, gone}) })
}

func factsOf(namespace *metav1.PartialObjectMetadata) placement.Namespace {
	return placement.Namespace{Name: namespace.Name, Labels: namespace.Labels, Annotations: keptAnnotations(namespace.Annotations)}
}

func (f *Facts) nodeChanged(object *corev1.Node, gone bool) {
	node := NodeChange{Name: object.Name, Labels: object.Labels, Taints: object.Spec.Taints, Gone: gone}
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
