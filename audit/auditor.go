package audit

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// An audit begins at the earliest period after the one before it, and after
// pauses times as long as that one took: however large and restless the cluster,
// the audit takes a tenth of one core at most. What happens in the pause is
// audited once.
const (
	period = time.Second
	pauses = 10
)

// eventsPerAudit is how many Events one audit writes: a new policy can be a
// problem of every DaemonSet at once. The others follow.
const eventsPerAudit = 20

// Options is what an Auditor works with.
type Options struct {
	// Facts returns what is known of the cluster at this moment, or nil while it is
	// not known.
	Facts    interface{ Snapshot() *cluster.Snapshot }
	Election *Election
	// Replicas is all that answer requests; nil: there is no other.
	Replicas *Replicas
	// Cache holds the DaemonSets, by CacheDaemonSets. The auditor asks for them
	// when it first leads.
	Cache cache.Cache
	// Live reads whole DaemonSets, for the matchConditions of policies.
	Live client.Reader
	// Events takes those on DaemonSets that stop complying.
	Events events.EventRecorder
	// Metrics has the auditor's while it runs.
	Metrics  prometheus.Registerer
	Excluded Excluded
	Log      logr.Logger
}

// Excluded is the DaemonSets that the webhook configurations keep from berth, so
// that no policy applies to them.
type Excluded struct {
	Namespaces      []string
	PriorityClasses []string
	// NamespaceSelector selects which of the other namespaces are not excluded; nil:
	// all.
	NamespaceSelector labels.Selector
	// SystemTier says that Namespaces and PriorityClasses are not excluded, but for
	// OwnNamespace.
	SystemTier   bool
	OwnNamespace string
}

// Has says whether the DaemonSet, of this namespace, does not come to berth.
func (e *Excluded) Has(ds *appsv1.DaemonSet, namespace placement.Namespace) bool {
	if slices.Contains(e.PriorityClasses, ds.Spec.Template.Spec.PriorityClassName) && ds.Namespace != e.OwnNamespace {
		return !e.SystemTier
	}
	return e.hasNamespace(namespace)
}

// hasNamespace says whether only critical DaemonSets of the namespace, if any, come
// to berth.
func (e *Excluded) hasNamespace(namespace placement.Namespace) bool {
	switch {
	case namespace.Name == e.OwnNamespace:
		return true
	case slices.Contains(e.Namespaces, namespace.Name):
		return !e.SystemTier
	}
	return e.NamespaceSelector != nil && !e.NamespaceSelector.Matches(labels.Set(namespace.Labels))
}

// hasWholeNamespace says whether no DaemonSet of the namespace comes to berth.
func (e *Excluded) hasWholeNamespace(namespace placement.Namespace) bool {
	return e.hasNamespace(namespace) && (!e.SystemTier || namespace.Name == e.OwnNamespace)
}

// Auditor audits the DaemonSets while its replica leads.
type Auditor struct {
	Options
	daemonSets daemonSetStore
	// state is what the last audit found. Only Start's goroutine has it; it is nil
	// while another replica leads.
	state   *state
	report  atomic.Pointer[report] // nil: this replica does not audit
	reports chan reportChange
}

// reportChange is the event of a new report, with the names of the policies of
// which it says something new.
type reportChange = event.TypedGenericEvent[[]string]

// New returns an auditor, for the manager to run.
func New(options Options) *Auditor {
	return &Auditor{Options: options, reports: make(chan reportChange)}
}

// NeedLeaderElection tells the manager to start the auditor on every replica: it
// asks the Election itself.
func (a *Auditor) NeedLeaderElection() bool { return false }

// Start audits until the context ends.
func (a *Auditor) Start(ctx context.Context) error {
	if err := a.Metrics.Register(a); err != nil {
		return fmt.Errorf("register the audit's metrics: %w", err)
	}
	defer a.Metrics.Unregister(a)
	timer := time.NewTimer(period)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		began := time.Now()
		if err := a.audit(ctx); err != nil && ctx.Err() == nil {
			// No reason to end: requests want answers all the same.
			a.Log.Error(err, "Cannot audit: trying again")
		}
		timer.Reset(max(period, pauses*time.Since(began)))
	}
}

// audit does nothing unless something has changed since it was called last.
func (a *Auditor) audit(ctx context.Context) error {
	if !a.Election.Leads() {
		a.state = nil
		a.report.Store(nil)
		return nil
	}
	snapshot := a.Facts.Snapshot()
	complete, err := a.daemonSets.watch(ctx, a.Cache)
	if err != nil || !complete || snapshot == nil {
		return err
	}
	changed := a.daemonSets.take(a.state == nil)
	if a.state == nil {
		a.state = &state{excluded: a.Excluded, live: a.Live, log: a.Log}
	}
	if len(changed) > 0 || snapshot != a.state.snapshot || a.state.unread {
		a.state.update(ctx, snapshot, changed)
		a.publish(ctx)
	}
	for _, p := range a.state.tell(eventsPerAudit) {
		a.Events.Eventf(p.regarding(), p.related(), corev1.EventTypeWarning, reasonViolation, actionAudit, "%s", p.note)
	}
	return nil
}

// publish makes the state known to metrics and status.
func (a *Auditor) publish(ctx context.Context) {
	next := a.state.report()
	last := a.report.Swap(next)
	if names := next.changedSince(last); len(names) > 0 {
		select {
		case a.reports <- reportChange{Object: names}:
		case <-ctx.Done():
		}
	}
}
