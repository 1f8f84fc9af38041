package cluster

import (
	"context"
	"fmt"

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
	"berth.dev/berth/placement"
)

// The reasons of a policy's Ready condition.
const (
	reasonCompiled = "Compiled"
	reasonInvalid  = "Invalid"
)

// StatusController writes into the status of each policy whether it is in force.
// Only the leader writes, and only when there is something new to say: a quiet
// cluster sees no write.
type StatusController struct {
	client   client.Client
	election *Election
}

// NewStatusController returns a controller that reads and writes by the client
// while the election has made this replica the leader.
func NewStatusController(policies client.Client, election *Election) *StatusController {
	return &StatusController{client: policies, election: election}
}

// SetupWithManager makes the manager run the controller. A new leader looks at
// every policy, since it has let pass the events until then.
func (c *StatusController) SetupWithManager(mgr manager.Manager) error {
	everyReplica := false
	return builder.ControllerManagedBy(mgr).
		Named("placementpolicy-status").
		For(&v1alpha1.PlacementPolicy{}).
		WatchesRawSource(source.Channel(c.election.elected, handler.TypedEnqueueRequestsFromMapFunc(c.allPolicies))).
		WithOptions(controller.Options{NeedLeaderElection: &everyReplica}).
		Complete(c)
}

func (c *StatusController) allPolicies(ctx context.Context, _ struct{}) []reconcile.Request {
	var list v1alpha1.PlacementPolicyList
	if err := c.client.List(ctx, &list); err != nil {
		log.FromContext(ctx).Error(err, "Cannot list the policies: their status stays as it is until they change")
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].Name = list.Items[i].Name
	}
	return requests
}

// Reconcile brings the status of one policy up to date.
func (c *StatusController) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	if !c.election.Leads() {
		return reconcile.Result{}, nil
	}
	policy := &v1alpha1.PlacementPolicy{}
	if err := c.client.Get(ctx, request.NamespacedName, policy); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !setReady(policy) {
		return reconcile.Result{}, nil
	}
	err := c.client.Status().Update(ctx, policy)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		// The policy has changed meanwhile: its event is on the way.
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("write the status of policy %s: %w", policy.Name, err)
	}
	return reconcile.Result{}, nil
}

// setReady puts into the status what Compile says of the policy, and says
// whether that is new.
func setReady(policy *v1alpha1.PlacementPolicy) (changed bool) {
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
	if _, failed := placement.Compile([]v1alpha1.PlacementPolicy{*policy}); len(failed) > 0 {
		ready.Status = metav1.ConditionFalse
		ready.Reason = reasonInvalid
		ready.Message = failed[policy.Name].ToAggregate().Error()
	}
	changed = meta.SetStatusCondition(&policy.Status.Conditions, ready)
	if policy.Status.ObservedGeneration != policy.Generation {
		policy.Status.ObservedGeneration = policy.Generation
		changed = true
	}
	return changed
}
