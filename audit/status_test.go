package audit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/e2e/apiserver"
)

// newPolicy requires pool=blue of DaemonSets in namespaces with the team's label.
func newPolicy(name, team string) *v1alpha1.PlacementPolicy {
	policy := &v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policy.Spec.NodeSelector = map[string]v1alpha1.NodeLabelValue{"pool": "blue"}
	policy.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": team}}
	return policy
}

// invalid is a selector that the API server stores, though no one can match it.
func invalid() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Nearby"}}}
}

var enforced = metav1.Condition{
	Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Compiled", Message: "berth enforces this policy", ObservedGeneration: 1,
}

var noConflict = metav1.Condition{
	Type: v1alpha1.ConditionConflicting, Status: metav1.ConditionFalse, Reason: "NoConflict", Message: "no other policy requires another value of a node label",
}

// eventuallyStatus waits until a policy has this status.
func eventuallyStatus(t *testing.T, c client.Client, policy *v1alpha1.PlacementPolicy, want v1alpha1.PlacementPolicyStatus) {
	t.Helper()
	diff := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
			t.Fatal(err)
		}
		diff = cmp.Diff(want, policy.Status, cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime"))
		if diff == "" {
			return
		}
	}
	t.Fatalf("status of policy %s (-want +got):\n%s", policy.Name, diff)
}

// statusOf reads the status that speaks of the policy's newest generation, once
// it is there.
func statusOf(t *testing.T, c client.Client, policy *v1alpha1.PlacementPolicy) v1alpha1.PlacementPolicyStatus {
	t.Helper()
	apiserver.Eventually(t, "policy "+policy.Name+" has a status", func() bool {
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
	apiserver.Create(t, c, policy)

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
		apiserver.Change(t, c, policy, step.edit)
		step.want.Type = v1alpha1.ConditionReady
		want := v1alpha1.PlacementPolicyStatus{
			ObservedGeneration: step.want.ObservedGeneration,
			Conditions:         []metav1.Condition{step.want, noConflict},
			DaemonSets:         &v1alpha1.DaemonSetCounts{},
			Nodes:              &v1alpha1.NodeCounts{},
		}
		eventuallyStatus(t, c, policy, want)
	}
}

func TestOneReplicaWritesAndTheNextTakesOver(t *testing.T) {
	c := admin(t)
	first := startReplica(t)
	apiserver.Eventually(t, "the first replica leads", first.election.Leads)
	policy := newPolicy("takeover", "takeover")
	apiserver.Create(t, c, policy)
	statusOf(t, c, policy)

	second := startReplica(t)
	if second.election.Leads() {
		t.Error("two replicas lead at once")
	}
	first.stop()
	if first.election.Leads() {
		t.Error("a replica that has stopped leads")
	}
	began := time.Now()
	apiserver.Eventually(t, "the second replica leads", second.election.Leads)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the second replica waited %s: the first did not let go of the lease", took)
	}

	apiserver.Change(t, c, policy, func() { policy.Spec.Mode = v1alpha1.ModeAudit })
	audited := enforced
	audited.Message, audited.ObservedGeneration = "berth reports what this policy would do and changes nothing", 2
	want := v1alpha1.PlacementPolicyStatus{
		ObservedGeneration: 2, Conditions: []metav1.Condition{audited, noConflict},
		DaemonSets: &v1alpha1.DaemonSetCounts{}, Nodes: &v1alpha1.NodeCounts{},
	}
	eventuallyStatus(t, c, policy, want)
	if first.writes.status.Load() == 0 || second.writes.status.Load() == 0 {
		t.Errorf("the first replica wrote %s, the second %s", first.writes, second.writes)
	}
	second.stop()

	// The third has looked at all policies when it has written the other.
	third := startReplica(t)
	apiserver.Eventually(t, "the third replica leads", third.election.Leads)
	written := policy.ResourceVersion
	other := newPolicy("takeover-2", "takeover")
	apiserver.Create(t, c, other)
	apiserver.Eventually(t, "the third replica has audited", func() bool {
		statusOf(t, c, other)
		return other.Status.DaemonSets != nil
	})
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
		t.Fatal(err)
	}
	if policy.ResourceVersion != written {
		t.Error("a new leader wrote a status that was right")
	}
}

func TestAPolicyOfWhichVeryMuchIsWrongGetsAStatus(t *testing.T) {
	c := admin(t)
	startReplica(t)
	policy := newPolicy("long", "long")
	for i := range 64 {
		expression := strings.Repeat("ü", 64) + strings.Repeat("x", 190)
		policy.Spec.MatchConditions = append(policy.Spec.MatchConditions, v1alpha1.MatchCondition{Name: fmt.Sprint("c", i), Expression: expression})
	}
	apiserver.Create(t, c, policy)
	apiserver.Eventually(t, "the status says that the policy is invalid", func() bool {
		statusOf(t, c, policy)
		ready := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionReady)
		return ready != nil && ready.Reason == "Invalid" && strings.HasPrefix(ready.Message, "[spec.matchConditions[0].expression: ")
	})
}
