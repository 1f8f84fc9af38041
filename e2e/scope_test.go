package e2e_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each case creates a DaemonSet that is out of a policy's scope and says pool b,
// where the policy requires pool a, and then brings it into the scope.
func TestAnUpdateThatBringsADaemonSetIntoAPolicysScopeIsDeniedWhereItsAuthorViolatesIt(t *testing.T) {
	const labelled = "matchConstraints: {objectSelector: {matchLabels: {tier: x}}}\n"
	critical := "priorityClassName: system-node-critical\nnodeSelector: {e2e-pool: b}"
	declassed := []string{"--type=json", "-p", `[{"op":"remove","path":"/spec/template/spec/priorityClassName"}]`}
	labelling := []string{"--type=merge", "-p", `{"metadata":{"labels":{"tier":"x"}}}`}
	tests := []struct {
		name, pod, policy string
		patch             []string
	}{
		{"its priority class", critical, anyNodes + poolA, declassed},
		{"its priority class, CreateOnly", critical, anyNodes + poolA + "updatePolicy: CreateOnly\n", declassed},
		{"a label", "nodeSelector: {e2e-pool: b}", labelled + anyNodes + poolA, labelling},
		{"a label, CreateOnly", "nodeSelector: {e2e-pool: b}", labelled + anyNodes + poolA + "updatePolicy: CreateOnly\n", labelling},
		{"a matchCondition", "nodeSelector: {e2e-pool: b}", anyNodes + poolA + onlyIf(`object.metadata.?labels[?'tier'].orValue('') == 'x'`), labelling},
		{"a matchCondition on the template", "nodeSelector: {e2e-pool: b}", anyNodes + poolA + onlyIf(`object.spec.template.spec.containers[0].image == 'agent:2'`),
			[]string{"--type=json", "-p", `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"agent:2"}]`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			namespace := newNamespace(t, nil)
			applyPolicy(t, namespace, "pool", test.policy)
			create(t, namespace, agent(test.pod))
			patch := append([]string{"patch", "-n", namespace, "daemonset/agent"}, test.patch...)
			if diff := cmp.Diff([]string{pinnedTo("b")}, causes(kubectlRejected(t, "", patch...))); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
		})
	}
}
