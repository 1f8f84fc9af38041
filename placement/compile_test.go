package placement_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

func TestCompileNamesTheFieldOfWhatIsWrong(t *testing.T) {
	tests := map[string]struct{ spec, want string }{
		"nothing required":        {`mode: Enforce`, `spec: Required value: the policy requires nothing: set nodeSelector, nodeSelectorFrom, nodeRequirements, tolerations or nodeChecks`},
		"an unknown mode":         {"mode: Sleep\n" + ownLabel, `spec.mode: Unsupported value: "Sleep": supported values: "Enforce", "Audit"`},
		"an unknown source":       {`nodeSelectorFrom: [{type: Moon}]`, `spec.nodeSelectorFrom[0].type: Unsupported value: "Moon": supported values: "WorkloadSelector", "NamespaceAnnotation", "WorkloadAnnotation"`},
		"an unknown conflict":     {"conflictPolicy: Fight\n" + ownLabel, `spec.conflictPolicy: Unsupported value: "Fight": supported values: "Reject", "PreferExisting", "PreferPolicy"`},
		"Deny beside Warn":        {"validationActions: [Deny, Warn]\n" + ownLabel, `spec.validationActions: Invalid value: ["Deny","Warn"]: Deny and Warn exclude each other: a denial says all that a warning would`},
		"an unknown action":       {"validationActions: [Shout]\n" + ownLabel, `spec.validationActions[0]: Unsupported value: "Shout": supported values: "Deny", "Warn", "Audit"`},
		"a selector out of shape": {"matchConstraints: {namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}\n" + ownLabel, "spec.matchConstraints.namespaceSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			compiled, failed := placement.Compile([]v1alpha1.PlacementPolicy{policy(t, "good", ownLabel), policy(t, "bad", test.spec)})
			if diff := cmp.Diff(test.want, failed["bad"].ToAggregate().Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if len(failed) != 1 || compiled.Len() != 2 {
				t.Errorf("%d policies and %d failed; want both, and the bad one to fail", compiled.Len(), len(failed))
			}
		})
	}
}

func TestForSelectsByTheLabelsOfTheNamespace(t *testing.T) {
	policies := compile(t,
		policy(t, "everywhere", ownLabel),
		policy(t, "enabled", "matchConstraints: {namespaceSelector: {matchLabels: {berth.dev/placement: enabled}}}\n"+ownLabel),
		policy(t, "not-dev", "matchConstraints: {namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [dev]}]}}\n"+ownLabel),
	)
	tests := map[string]struct {
		namespace placement.Namespace
		want      []string
	}{
		"plain":   {placement.Namespace{Name: "a", Labels: map[string]string{"kubernetes.io/metadata.name": "a"}}, []string{"everywhere", "not-dev"}},
		"enabled": {placement.Namespace{Name: "dev", Labels: map[string]string{"kubernetes.io/metadata.name": "dev", "berth.dev/placement": "enabled"}}, []string{"enabled", "everywhere"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			decision := decide(policies, write{DaemonSet: daemonSet(t, tutorial), Namespace: test.namespace})
			if diff := cmp.Diff(test.want, decision.Policies); diff != "" {
				t.Errorf("policies (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelectAsksOnlyAboutPoliciesWithConditions(t *testing.T) {
	const conditional = "nodeSelector: {pool: logs}\nmatchConditions: [{name: c, expression: 'true'}]"
	policies := compile(t,
		policy(t, "failing", conditional), policy(t, "ignored", conditional+"\nfailurePolicy: Ignore"),
		policy(t, "met", conditional), policy(t, "plain", ownLabel), policy(t, "unmet", conditional))
	if !policies.InNamespace(placement.Namespace{}).Conditional() {
		t.Error("policies with matchConditions are not conditional")
	}
	var asked []string
	conditions := func(name string, _ placement.Which) (bool, error) {
		asked = append(asked, name)
		if name == "failing" || name == "ignored" {
			return false, errors.New(`matchCondition "c": no such key: spec`)
		}
		return name == "met", nil
	}
	decision := decide(policies, write{DaemonSet: daemonSet(t, tutorial), Conditions: conditions})
	if diff := cmp.Diff([]string{"failing", "ignored", "met", "unmet"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"failing", "ignored", "met", "plain"}, decision.Policies); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	want := answer{Denied: []string{`metadata: Forbidden: matchCondition "c": no such key: spec: ask a cluster admin to mend the policy`}}
	if diff := cmp.Diff(want, answerOf(decision.Outcome)); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
	if decide(policies, write{DaemonSet: daemonSet(t, tutorial)}).Denied() == nil {
		t.Error("policies apply whose conditions nobody evaluated")
	}
}
