package e2e_test

import (
	"strings"
	"testing"
)

func TestAPolicyThatMeansNothingIsRejectedByTheAPIServer(t *testing.T) {
	tests := []struct{ name, spec, want string }{
		{"nothing required", `mode: Enforce`, "the policy requires nothing: set nodeSelector, nodeSelectorFrom, nodeRequirements, tolerations or nodeChecks"},
		{"an unknown mode", poolA + "mode: Sleep", `spec.mode: Unsupported value: "Sleep": supported values: "Enforce", "Audit"`},
		{"an unknown conflictPolicy", poolA + "conflictPolicy: Fight", `spec.conflictPolicy: Unsupported value: "Fight"`},
		{"an unknown updatePolicy", poolA + "updatePolicy: Never", `spec.updatePolicy: Unsupported value: "Never"`},
		{"an unknown failurePolicy", poolA + "failurePolicy: Pray", `spec.failurePolicy: Unsupported value: "Pray"`},
		{"Deny beside Warn", poolA + "validationActions: [Deny, Warn]", "Deny and Warn exclude each other: a denial says all that a warning would"},
		{"no action", poolA + "validationActions: []", "spec.validationActions: Invalid value: 0: spec.validationActions in body should have at least 1 items"},
		{"Deny beside Warn in nodeChecks", poolA + "nodeChecks: {validationActions: [Warn, Deny]}", "Deny and Warn exclude each other: a denial says all that a warning would"},
		{"a percentage above 100", poolA + "nodeChecks: {maxNodesLost: 101%}", "must be a number of nodes, or a percentage such as 10%"},
		{"a negative number", poolA + "nodeChecks: {minMatchingNodes: -1}", "must be a number of nodes, or a percentage such as 10%"},
		{"a number that berth cannot read", poolA + "nodeChecks: {minMatchingNodes: 2147483648}", "must be a number of nodes, or a percentage such as 10%"},
		{"another number that berth cannot read", poolA + "nodeChecks: {maxNodesLost: 9223372036854775807}", "spec.nodeChecks.maxNodesLost: Invalid value"},
		{"seconds that berth cannot read", "tolerations: [{key: a, effect: NoExecute, tolerationSeconds: 10000000000000000000}]", "spec.tolerations[0].tolerationSeconds: Invalid value"},
		{"a key that is no label key", "nodeSelector: {not a key: a}", "a key is not a node label key: use [prefix/]name, such as example.com/pool"},
		{"a value that is no label value", "nodeSelector: {pool: not a value}", "a value is not a node label value: at most 63 letters, digits, '-', '_' and '.'"},
		{"an unknown source", "nodeSelectorFrom: [{type: Moon}]", `spec.nodeSelectorFrom[0].type: Unsupported value: "Moon"`},
		{"another source's field", "nodeSelectorFrom: [{type: WorkloadSelector, namespaceAnnotation: {}}]", "namespaceAnnotation goes with type NamespaceAnnotation only"},
		{"workloadSelector elsewhere", "nodeSelectorFrom: [{type: WorkloadAnnotation, workloadSelector: {}}]", "workloadSelector goes with type WorkloadSelector only"},
		{"workloadAnnotation elsewhere", "nodeSelectorFrom: [{type: WorkloadSelector, workloadAnnotation: {}}]", "workloadAnnotation goes with type WorkloadAnnotation only"},
		{"NotIn without values", "nodeRequirements: [{key: a, operator: NotIn}]", "the operators In and NotIn need values"},
		{"Exists with values", "nodeRequirements: [{key: a, operator: Exists, values: [b]}]", "the operators Exists and DoesNotExist take no values"},
		{"Gt with a word", "nodeRequirements: [{key: a, operator: Gt, values: [many]}]", "the operators Gt and Lt need one value, an integer"},
		{"an unknown operator", "nodeRequirements: [{key: a, operator: Like, values: [b]}]", `spec.nodeRequirements[0].operator: Unsupported value: "Like"`},
		{"a requirement's key that is no label key", "nodeRequirements: [{key: not a key, operator: Exists}]", "a key is not a node label key: use [prefix/]name, such as example.com/pool"},
		{"two conditions of one name", poolA + "matchConditions: [{name: a, expression: 'true'}, {name: a, expression: 'false'}]", "spec.matchConditions[1]: Duplicate value: "},
		{"an unknown field", poolA + "nodeSelectors: {a: b}", `unknown field "spec.nodeSelectors"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stderr := kubectlRejected(t, policyManifest(t, "nowhere", "bad", test.spec), "create", "-f", "-")
			if !strings.Contains(stderr, test.want) {
				t.Errorf("kubectl said\n%s\nand nothing of\n%s", stderr, test.want)
			}
			manifest := policyManifest(t, "nowhere", "bad", test.spec)
			if stdout, _, err := cp.Run(t.Context(), manifest, berth.Binary, "check", "-f", "-"); exitCode(err) != 1 {
				t.Errorf("berth check ends with %v, and says\n%s", err, stdout)
			}
		})
	}
}

func TestWhatAPolicyLeavesOutIsInWhatIsStored(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "short", "nodeSelectorFrom: [{type: NamespaceAnnotation, namespaceAnnotation: {}}]\nnodeChecks: {}")
	defaults := map[string]string{
		"{.spec.mode}": "Enforce", "{.spec.conflictPolicy}": "Reject", "{.spec.updatePolicy}": "OnTemplateChange",
		"{.spec.failurePolicy}": "Fail", "{.spec.validationActions}": `["Deny"]`,
		"{.spec.nodeChecks}": `{"maxNodesLost":"10%","minMatchingNodes":1,"validationActions":["Warn"]}`,
		"{.spec.nodeSelectorFrom[0].namespaceAnnotation.key}": podNodeSelectorKey,
	}
	for path, want := range defaults {
		if got := kubectl(t, "", "get", "placementpolicy", "short", "-o", "jsonpath="+path); got != want {
			t.Errorf("%s is %q, not %q", path, got, want)
		}
	}
}
