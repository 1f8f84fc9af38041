package cluster_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
)

// statusOf reads the status that speaks of the policy's newest generation, once
// it is there.
func statusOf(t *testing.T, c client.Client, policy *v1alpha1.PlacementPolicy) v1alpha1.PlacementPolicyStatus {
	t.Helper()
	eventually(t, "policy "+policy.Name+" has a status", func() bool {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
			t.Fatal(err)
		}
		return policy.Status.ObservedGeneration == policy.Generation
	})
	return policy.Status
}

func TestAPolicySaysInItsStatusWhetherItIsInForce(t *testing.T) {
	c := admin(t)
	startReplica(t)
	policy := newPolicy("status", "status")
	create(t, c, policy)

	steps := []struct {
		name string
		edit func()
		want metav1.Condition
	}{
		{
			name: "a good policy",
			edit: func() {},
			want: metav1.Condition{Status: metav1.ConditionTrue, Reason: "Compiled", Message: "berth enforces this policy", ObservedGeneration: 1},
		},
		{
			name: "an edit with an error",
			edit: func() { policy.Spec.MatchConstraints.NamespaceSelector = invalid() },
			want: metav1.Condition{
				Status: metav1.ConditionFalse, Reason: "Invalid", ObservedGeneration: 2,
				Message: `spec.matchConstraints.namespaceSelector.matchExpressions[0].operator: Invalid value: "Nearby": not a valid selector operator`,
			},
		},
		{
			name: "an edit that mends it",
			edit: func() {
				policy.Spec.MatchConstraints.NamespaceSelector = nil
				policy.Spec.Mode = v1alpha1.ModeAudit
			},
			want: metav1.Condition{Status: metav1.ConditionTrue, Reason: "Compiled", Message: "berth reports what this policy would do and changes nothing", ObservedGeneration: 3},
		},
	}
	for _, step := range steps {
		change(t, c, policy, step.edit)
		got := statusOf(t, c, policy)
		step.want.Type = v1alpha1.ConditionReady
		want := v1alpha1.PlacementPolicyStatus{ObservedGeneration: step.want.ObservedGeneration, Conditions: []metav1.Condition{step.want}}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestOneReplicaWritesAndTheNextTakesOver(t *testing.T) {
	c := admin(t)
	first := startReplica(t)
	eventually(t, "the first replica leads", first.election.Leads)
	policy := newPolicy("takeover", "takeover")
	create(t, c, policy)
	statusOf(t, c, policy)
	quiet := policy.ResourceVersion

	second := startReplica(t)
	if second.election.Leads() {
		t.Error("two replicas lead at once")
	}
	first.stop()
	if first.election.Leads() {
		t.Error("a replica that has stopped leads")
	}
	began := time.Now()
	eventually(t, "the second replica leads", second.election.Leads)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the second replica waited %s: the first did not let go of the lease", took)
	}

	// The new leader has looked at all policies when it has written this one.
	change(t, c, policy, func() { policy.Spec.Mode = v1alpha1.ModeAudit })
	edited := policy.ResourceVersion
	statusOf(t, c, policy)
	if edited == quiet || policy.ResourceVersion == edited {
		t.Errorf("resource versions %s, %s, %s: the status was not written anew", quiet, edited, policy.ResourceVersion)
	}
	written := policy.ResourceVersion
	second.stop()
	third := startReplica(t)
	eventually(t, "the third replica leads", third.election.Leads)
	other := newPolicy("takeover-2", "takeover")
	create(t, c, other)
	statusOf(t, c, other)
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
		t.Fatal(err)
	}
	if policy.ResourceVersion != written {
		t.Error("a new leader wrote a status that was right")
	}
}
