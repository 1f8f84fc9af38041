package audit

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
)

// The reasons of a policy's conditions.
const (
	reasonCompiled        = "Compiled"
	reasonInvalid         = "Invalid"
	reasonDifferentValues = "DifferentValues"
	reasonNoConflict      = "NoConflict"
	reasonNotInUse        = "NotInUse"
)

// StatusController writes into the status of each policy whether it is in force,
// and what the audit found. Only the leader writes, and only when there is
// something new to say: a quiet cluster sees no write.
type StatusController struct {
	client  client.Client
	auditor *Auditor
	pace    *pace // There is one worker: no lock.
	waits   map[string]inUseWait
}

// NewStatusController returns a controller that reads and writes by the client
// what the auditor reports.
func NewStatusController(policies client.Client, auditor *Auditor) *StatusController {
	return &StatusController{client: policies, auditor: auditor, pace: newPace(), waits: map[string]inUseWait{}}
}

// SetupWithManager makes the manager run the controller. A new leader looks at
// every policy, since it has let pass the events until then.
func (c *StatusController) SetupWithManager(mgr manager.Manager) error {
	everyReplica := false
	return builder.ControllerManagedBy(mgr).
		Named("placementpolicy-status").
		For(&v1alpha1.PlacementPolicy{}).
		WatchesRawSource(source.Channel(c.auditor.Election.elected, handler.TypedEnqueueRequestsFromMapFunc(c.allPolicies))).
		WatchesRawSource(source.Channel(c.auditor.reports, handler.TypedEnqueueRequestsFromMapFunc(requestsFor))).
		WithOptions(controller.Options{NeedLeaderElection: &everyReplica}).
		Complete(c)
}

func (c *StatusController) allPolicies(ctx context.Context, _ struct{}) []reconcile.Request {
	var list v1alpha1.PlacementPolicyList
	if err := c.client.List(ctx, &list); err != nil {
		log.FromContext(ctx).Error(err, "Cannot list the policies: their status stays as it is until they change")
		return nil
	}
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].Name
	}
	return requestsFor(ctx, names)
}

func requestsFor(_ context.Context, policies []string) []reconcile.Request {
	requests := make([]reconcile.Request, len(policies))
	for i, name := range policies {
		requests[i].Name = name
	}
	return requests
}

// Reconcile brings the status of one policy up to date.
func (c *StatusController) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	if !c.auditor.Election.Leads() {
		return reconcile.Result{}, nil
	}
	policy := &v1alpha1.PlacementPolicy{}
	if err := c.client.Get(ctx, request.NamespacedName, policy); err != nil {
		if apierrors.IsNotFound(err) {
			c.pace.forget(request.Name)
			delete(c.waits, request.Name)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	found := c.found(policy.Name)
	again, urgent := time.Duration(0), false
	if awaited := c.awaited(policy); awaited.message == "" {
		urgent = setReady(policy, found)
	} else {
		again = lookAgain
		urgent = awaited.isLong && setReadyTo(policy, awaited.condition())
	}
	counted := false
	if found != nil {
		var flipped bool
		flipped, counted = setFindings(&policy.Status, *found)
		urgent = urgent || flipped
	}
	switch {
	case urgent: // An admin waits for conditions: they are not held up.
	case !counted:
		return reconcile.Result{RequeueAfter: again}, nil
	default:
		if wait := c.pace.take(policy.Name, time.Now()); wait > 0 {
			return reconcile.Result{RequeueAfter: soonest(wait, again)}, nil
		}
	}
	err := c.client.Status().Update(ctx, policy)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		// The policy has changed meanwhile: its event is on the way.
		return reconcile.Result{RequeueAfter: again}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("write the status of policy %s: %w", policy.Name, err)
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// found is what the audit says of a policy; nil: nothing yet.
func (c *StatusController) found(policy string) *policyReport {
	r := c.auditor.report.Load()
	if r == nil {
		return nil
	}
	found, ok := r.policies[policy]
	if !ok {
		return nil
	}
	return &found
}

// maxConditionMessage is the length to which a condition's message is cut: the
// API server takes 32,768 characters, and refuses the whole status with more.
const maxConditionMessage = 8 << 10

// setReady puts into the status whether the policy is in force, and whether it can
// act at all by what the audit found (nil: as it is said already). It says whether
// that is new.
func setReady(policy *v1alpha1.PlacementPolicy, found *policyReport) (changed bool) {
	ready := metav1.Condition{
		Type:               v1alpha1.ConditionReady,
		Status:             metav1.ConditionTrue,
		Reason:             reasonCompiled,
		Message:            "berth enforces this policy",
		ObservedGeneration: policy.Generation,
	}
	if policy.Spec.Mode == v1alpha1.ModeAudit {
		ready.Message = "berth reports what this policy would do and changes nothing"
	}
	last := meta.FindStatusCondition(policy.Status.Conditions, ready.Type)
	switch {
	case found != nil && found.leftOut != "":
		ready.Message += ", but " + found.leftOut
	case found == nil && last != nil && last.Reason == ready.Reason && last.ObservedGeneration == ready.ObservedGeneration:
		ready.Message = last.Message
	}
	if errs := cluster.Validate(policy); len(errs) > 0 {
		ready.Status = metav1.ConditionFalse
		ready.Reason = reasonInvalid
		ready.Message = shorten(maxConditionMessage, errs.ToAggregate().Error(), 0)
	}
	return setReadyTo(policy, ready)
}

func setReadyTo(policy *v1alpha1.PlacementPolicy, ready metav1.Condition) (changed bool) {
	changed = meta.SetStatusCondition(&policy.Status.Conditions, ready)
	if policy.Status.ObservedGeneration != policy.Generation {
		policy.Status.ObservedGeneration = policy.Generation
		changed = true
	}
	return changed
}

// setFindings puts into the status what the audit found, and says whether
// Conflicting has another status, and whether anything is new.
func setFindings(status *v1alpha1.PlacementPolicyStatus, found policyReport) (flipped, changed bool) {
	// It speaks of the cluster, not of a generation of this policy: observedGeneration has no place.
	conflicting := metav1.Condition{
		Type:    v1alpha1.ConditionConflicting,
		Status:  metav1.ConditionFalse,
		Reason:  reasonNoConflict,
		Message: "no other policy requires another value of a node label",
	}
	if found.conflict != "" {
		conflicting.Status = metav1.ConditionTrue
		conflicting.Reason = reasonDifferentValues
		conflicting.Message = found.conflict
	}
	if last := meta.FindStatusCondition(status.Conditions, conflicting.Type); last != nil {
		flipped = last.Status != conflicting.Status
	} else {
		flipped = true
	}
	changed = meta.SetStatusCondition(&status.Conditions, conflicting)
	if status.DaemonSets == nil || *status.DaemonSets != found.daemonSets {
		status.DaemonSets = &found.daemonSets
		changed = true
	}
	if status.Nodes == nil || *status.Nodes != found.nodes {
		status.Nodes = &found.nodes
		changed = true
	}
	return flipped, changed
}
