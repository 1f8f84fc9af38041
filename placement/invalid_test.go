package placement_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

const (
	invalidPool       = "nodeSelector: {pool: not a value}\n"
	teamA             = "matchConstraints: {namespaceSelector: {matchLabels: {team: a}}}\n"
	isInvalid         = `metadata: Forbidden: policy "p" is invalid: ask a cluster admin to edit it: spec.nodeSelector: Invalid value: "not a value": `
	twoThingsAreWrong = "mode: Sleep\n" + invalidPool
)

// invalidPolicies compiles policies of which some are invalid.
func invalidPolicies(t *testing.T, list ...v1alpha1.PlacementPolicy) placement.Policies {
	t.Helper()
	compiled, failed := placement.Compile(list)
	if len(failed) == 0 {
		t.Fatal("all policies compile")
	}
	return compiled
}

func TestAnInvalidPolicyGoesTheWayOfItsFailurePolicyInItsScope(t *testing.T) {
	tests := map[string]struct {
		spec                  string
		namespace, annotation string
		denied, warned        string
	}{
		"it denies":                         {spec: invalidPool, denied: isInvalid},
		"Ignore warns":                      {spec: invalidPool + "failurePolicy: Ignore", warned: `policy "p" is invalid: ask a cluster admin to edit it: `},
		"a failurePolicy that is none":      {spec: invalidPool + "failurePolicy: Pray", denied: `policy "p" is invalid`},
		"it warns where it would deny less": {spec: invalidPool + "validationActions: [Warn]", denied: isInvalid},
		"in mode Audit it does nothing":     {spec: invalidPool + "mode: Audit"},
		"several errors":                    {spec: twoThingsAreWrong, denied: `spec.mode: Unsupported value: "Sleep": supported values: "Enforce", "Audit" (and 1 more)`},
		"another namespace":                 {spec: invalidPool + teamA, namespace: "b"},
		"its namespace":                     {spec: invalidPool + teamA, namespace: "a", denied: isInvalid},
		"a namespaceSelector that is none": {spec: "nodeSelector: {pool: a}\nmatchConstraints: {namespaceSelector: {matchExpressions: [{key: team, operator: Nearby}]}}",
			namespace: "b", denied: "spec.matchConstraints.namespaceSelector.matchExpressions[0].operator"},
		"another object":             {spec: invalidPool + "matchConstraints: {objectSelector: {matchLabels: {no: one}}}"},
		"an opted-out namespace":     {spec: invalidPool + "nodeSelectorFrom: [{type: NamespaceAnnotation, namespaceAnnotation: {key: pool}}]", annotation: "pool"},
		"a source that asks nothing": {spec: invalidPool + "nodeSelectorFrom: [{type: WorkloadAnnotation, workloadAnnotation: {key: pool}}]", denied: isInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			namespace := placement.Namespace{Labels: map[string]string{"team": test.namespace}, Annotations: map[string]string{test.annotation: ""}}
			decision := decide(invalidPolicies(t, policy(t, "p", test.spec)),
				write{DaemonSet: daemonSet(t, tutorial), Namespace: namespace, Nodes: placement.NodeList{node("n", nil)}})
			if denied := errorsOf(decision.Denied()); (denied == "") != (test.denied == "") || !strings.Contains(denied, test.denied) {
				t.Errorf("denied with %q, want %q", denied, test.denied)
			}
			if warned := strings.Join(decision.Warnings, "\n"); (warned == "") != (test.warned == "") || !strings.Contains(warned, test.warned) {
				t.Errorf("warned with %q, want %q", warned, test.warned)
			}
			if len(decision.Patch) > 0 {
				t.Errorf("patched by a policy that is invalid: %s", decision.Patch.AppendJSON(nil))
			}
		})
	}
}

func TestBesideAnInvalidPolicyTheOthersAct(t *testing.T) {
	policies := invalidPolicies(t, policy(t, "p", invalidPool+"failurePolicy: Ignore"), policy(t, "q", "nodeSelector: {zone: a}"))
	got := admit(t, policies, write{DaemonSet: daemonSet(t, tutorial)})
	if diff := cmp.Diff(map[string]string{"zone": "a"}, got.Spec.Template.Spec.NodeSelector); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
}

func TestUnderAnInvalidPolicyAnUpdateThatLeavesThePlacementAloneIsLetThrough(t *testing.T) {
	stored := admit(t, compile(t, policy(t, "p", "nodeSelector: {pool: logs}")), write{DaemonSet: daemonSet(t, tutorial)})
	policies := invalidPolicies(t, policy(t, "p", invalidPool))
	moved := newImage(stored)
	moved.Spec.Template.Spec.NodeSelector["zone"] = "b"
	for name, test := range map[string]struct {
		updated *appsv1.DaemonSet
		denied  bool
	}{
		"a new image": {updated: newImage(stored)},
		"a new zone":  {updated: moved, denied: true},
	} {
		decision := decide(policies, write{DaemonSet: test.updated, Old: stored})
		if denied := errorsOf(decision.Denied()); test.denied != strings.Contains(denied, isInvalid) || !test.denied && denied != "" {
			t.Errorf("%s: denied with %q", name, denied)
		}
	}
}

func TestWhatIsWrongWithAPolicyIsCutInADenial(t *testing.T) {
	policies := compile(t, policy(t, "p", "nodeSelector: {pool: a}")).WithErrors(map[string]field.ErrorList{
		"p": {field.Invalid(field.NewPath("spec", "matchConditions"), strings.Repeat("ü", 5000), "does not compile"), field.Required(field.NewPath("spec"), "")},
		"q": {field.Required(field.NewPath("spec"), "")},
	})
	denied := errorsOf(decide(policies, write{DaemonSet: daemonSet(t, tutorial)}).Denied())
	if len(denied) > 700 || !strings.Contains(denied, "...") || !strings.Contains(denied, "spec.matchConditions") {
		t.Errorf("denied with %d bytes: %s", len(denied), denied)
	}
}

func TestAnInvalidPolicyContradictsNobody(t *testing.T) {
	policies := invalidPolicies(t, policy(t, "p", "nodeSelector: {pool: a, zone: not a value}"), policy(t, "q", "nodeSelector: {pool: b}"))
	inNamespace := policies.InNamespace(placement.Namespace{})
	object := placement.ObjectOf(daemonSet(t, tutorial))
	if found := slices.Concat(inNamespace.Conflicts(), inNamespace.Select(object, nil, nil).Conflicts(object)); len(found) > 0 {
		t.Errorf("conflicts: %v", found)
	}
}

func errorsOf(list field.ErrorList) string {
	if len(list) == 0 {
		return ""
	}
	return list.ToAggregate().Error()
}
