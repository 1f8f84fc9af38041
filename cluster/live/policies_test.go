package live_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/cluster/live"
	"berth.dev/berth/conditions"
	"berth.dev/berth/e2e/apiserver"
	"berth.dev/berth/placement"
)

// created says what becomes of a new DaemonSet of the namespace, for conditions
// that see nothing but the operation.
func created(t *testing.T, facts *live.Facts, namespace string) string {
	t.Helper()
	snapshot := facts.Snapshot()
	policies, _ := snapshot.PoliciesFor(namespace)
	decision := snapshot.Evaluate(&cluster.Question{
		Question: placement.Question{New: placement.ObjectOf(newDaemonSet(namespace))},
		Policies: policies,
		Met: func(program *conditions.Program, _ placement.Which) (bool, error) {
			known, _ := snapshot.Namespace(namespace)
			return program.Matches(t.Context(), conditions.Variables{
				Request: map[string]any{"operation": "CREATE"}, Namespace: cluster.NamespaceObject(known),
			}, new(conditions.Cost))
		},
	})
	if denied := decision.Denied(); denied != nil {
		return "denied: " + denied.ToAggregate().Error()
	}
	warnings := slices.DeleteFunc(decision.Warnings, func(w string) bool { return !strings.Contains(w, "is invalid") })
	return fmt.Sprintf("patched: %t, warnings: %s", len(decision.Patch) > 0, strings.Join(warnings, "; "))
}

// One of the two replicas is started after the edit, as after a restart.
func TestAnInvalidEditIsDecidedAlikeByAReplicaThatHasSeenTheFormerPolicyAndOneThatHasNot(t *testing.T) {
	c := admin(t)
	const enforced, untouched = "patched: true, warnings: ", "patched: false, warnings: "
	tests := map[string]struct {
		edit   func(*v1alpha1.PlacementPolicySpec)
		want   string
		beside string // in a namespace that the policy does not select
	}{
		"conditions": {
			func(spec *v1alpha1.PlacementPolicySpec) { spec.MatchConditions[0].Expression = "request.operation ==" },
			`denied: metadata: Forbidden: policy "conditions" is invalid: ask a cluster admin to edit it: spec.matchConditions[0].expression`, untouched,
		},
		"ignored": {
			func(spec *v1alpha1.PlacementPolicySpec) {
				spec.MatchConditions[0].Expression, spec.FailurePolicy = "request.operation ==", v1alpha1.Ignore
			},
			untouched + `policy "ignored" is invalid: ask a cluster admin to edit it: `, untouched,
		},
		"selector": {
			func(spec *v1alpha1.PlacementPolicySpec) {
				// The API server stores it, though no one can match it.
				spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Nearby"}}}
			},
			`denied: metadata: Forbidden: policy "selector" is invalid: ask a cluster admin to edit it: spec.matchConstraints.objectSelector`, untouched,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, namespace := range []string{name, name + "-beside"} {
				apiserver.Create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"team": namespace}}})
			}
			policy := newPolicy(name, name)
			policy.Spec.MatchConditions = []v1alpha1.MatchCondition{{
				Name: "created", Expression: `namespaceObject.metadata.labels.team != '' && request.operation == 'CREATE'`,
			}}
			apiserver.Create(t, c, policy)
			witness := startFacts(t)
			if got := created(t, witness, name); got != enforced {
				t.Fatalf("before the edit: %s", got)
			}
			apiserver.Change(t, c, policy, func() { test.edit(&policy.Spec) })
			for who, facts := range map[string]*live.Facts{"has seen the former policy": witness, "has not": startFacts(t)} {
				apiserver.Eventually(t, "the replica that "+who+" says "+test.want, func() bool { return strings.HasPrefix(created(t, facts, name), test.want) })
				if got := created(t, facts, name+"-beside"); got != test.beside {
					t.Errorf("the replica that %s, in another namespace: %s", who, got)
				}
			}
			apiserver.Change(t, c, policy, func() { policy.Spec = newPolicy(name, name).Spec })
			apiserver.Eventually(t, "an edit that mends it counts", func() bool {
				return created(t, witness, name) == enforced && witness.Snapshot().Conditions(name).Empty()
			})
			if err := c.Delete(t.Context(), policy); err != nil {
				t.Fatal(err)
			}
		})
	}
}
