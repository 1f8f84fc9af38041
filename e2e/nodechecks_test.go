package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// From tier=a on n-1 to n-4, to those with an SSD: n-1 and n-2.
func TestNodeChecksAreLimitsAsACountOrAPercentage(t *testing.T) {
	labelNodes(t, "e2e-tier", "a", "n-1", "n-2", "n-3", "n-4")
	labelNodes(t, "e2e-disk", "ssd", "n-1", "n-2")
	const few, lost = "matches 2 of 6 nodes: ", "deletes the pods on 2 of 4 nodes at once, whatever maxUnavailable is"
	tests := []struct{ checks, denial string }{
		{"minMatchingNodes: 2, maxNodesLost: 2", ""},
		{"minMatchingNodes: 33%, maxNodesLost: 50%", ""},
		{"minMatchingNodes: 3, maxNodesLost: 2", few},
		{"minMatchingNodes: 34%, maxNodesLost: 2", few},
		{"minMatchingNodes: 2, maxNodesLost: 1", lost},
		{"minMatchingNodes: 2, maxNodesLost: 49%", lost},
		{"minMatchingNodes: 2", lost}, // 10% by default
	}
	for _, test := range tests {
		t.Run(test.checks, func(t *testing.T) {
			namespace := newNamespace(t, nil)
			create(t, namespace, agent("nodeSelector: {e2e-tier: a}"))
			applyPolicy(t, namespace, "guard", "nodeSelector: {e2e-tier: a}\nnodeChecks: {validationActions: [Deny], "+test.checks+"}")
			change := []string{"patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"e2e-disk":"ssd"}}}}}`}
			if test.denial == "" {
				kubectl(t, "", change...)
				expectPods(t, namespace, "agent", "n-1", "n-2")
				return
			}
			denied := causes(kubectlRejected(t, "", change...))
			if len(denied) != 1 || !strings.HasPrefix(denied[0], "spec.template.spec: Forbidden: "+test.denial) {
				t.Errorf("causes %q, want one that says %q", denied, test.denial)
			}
		})
	}
}

func TestNodeChecksWarnByDefaultAndAuditOnRequest(t *testing.T) {
	const text = "matches 0 of 6 nodes: label one with kubectl label nodes NODE e2e-nobody=1"
	for actions, want := range map[string]string{"": "Warning: " + text + "\n", "nodeChecks: {validationActions: [Audit]}": ""} {
		namespace := newNamespace(t, nil)
		applyPolicy(t, namespace, "nobody", "nodeSelector: {e2e-nobody: \"1\"}\n"+actions)
		expectKubectl(t, create(t, namespace, agent("")), want)
		violation := auditAnnotations(t, namespace, "create")["mutate.berth.dev/violations"]
		if logged := strings.HasPrefix(violation, "policy nobody: spec.template.spec: Forbidden: "+text); logged != (actions != "") {
			t.Errorf("%q: the audit log says %q", actions, violation)
		}
	}
}

func TestWarningsSayWhichNodesThePodsMiss(t *testing.T) {
	labelNodes(t, "nvidia.example.com/e2e-gpu.present", "true", "n-1", "n-2")
	labelNodes(t, "e2e-disk", "ssd", "n-3")
	labelNodes(t, "karpenter.sh/nodepool", "e2e", "n-3", "n-4", "n-5")
	labelNodes(t, "e2e-tainted", "yes", "n-6")
	taintNode(t, "n-6", corev1.Taint{Key: "e2e-team", Value: "b", Effect: corev1.TaintEffectNoExecute})
	tests := []struct{ name, spec, want string }{
		{"a key that no node has, and one like it", `nodeSelector: {e2e-gpu: "on"}`, "matches 0 of 6 nodes: no node has e2e-gpu=on; 2 have nvidia.example.com/e2e-gpu.present=true"},
		{"a value that no node has, and one like it", `nodeSelector: {e2e-disk: sdd}`, "matches 0 of 6 nodes: no node has e2e-disk=sdd; 1 have e2e-disk=ssd"},
		{"a label that no node has, and none like it", `nodeSelector: {e2e-nobody: "1"}`, "matches 0 of 6 nodes: label one with kubectl label nodes NODE e2e-nobody=1"},
		{"nodes behind a taint", `nodeSelector: {e2e-tainted: "yes"}`, "matches 0 of 6 nodes: 1 more has the untolerated taint e2e-team=b:NoExecute: add a toleration"},
		{"part of a pool", `nodeSelector: {e2e-disk: ssd}`, "matches 1 of 3 nodes of pool karpenter.sh/nodepool=e2e: label the pool, not its nodes, or new nodes will not match"},
		{"nothing, of a pool that may scale from zero", "nodeSelector: {e2e-nobody: \"1\"}\nnodeChecks: {minMatchingNodes: 0}", ""},
		{"nothing, where all is well", "nodeSelector: {karpenter.sh/nodepool: e2e}", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			namespace := newNamespace(t, nil)
			applyPolicy(t, namespace, "warns", test.spec)
			want := ""
			if test.want != "" {
				want = "Warning: " + test.want + "\n"
			}
			expectKubectl(t, create(t, namespace, agent("")), want)
		})
	}
}

func TestAtMostThreeWarningsTheMostImportantFirst(t *testing.T) {
	labelNodes(t, "karpenter.sh/nodepool", "e2e", "n-3", "n-4", "n-5")
	labelNodes(t, "e2e-disk", "ssd", "n-3", "n-6")
	taintNode(t, "n-6", corev1.Taint{Key: "e2e-team", Value: "b", Effect: corev1.TaintEffectNoSchedule})
	namespace := newNamespace(t, nil)
	create(t, namespace, agent("nodeSelector: {karpenter.sh/nodepool: e2e}"))
	applyPolicy(t, namespace, "warns", "nodeSelector: {e2e-disk: ssd}\nnodeChecks: {minMatchingNodes: 3}")
	stderr := kubectlWarned(t, "", "patch", "-n", namespace, "daemonset/agent", "--type=json", "-p",
		`[{"op":"replace","path":"/spec/template/spec/nodeSelector","value":{"e2e-disk":"ssd"}}]`)
	var want strings.Builder
	for _, warning := range []string{
		"matches 1 of 6 nodes: 1 more has the untolerated taint e2e-team=b:NoSchedule: add a toleration",
		"deletes the pods on 2 of 3 nodes at once, whatever maxUnavailable is",
		"matches 1 of 3 nodes of pool karpenter.sh/nodepool=e2e: label the pool, not its nodes, or new nodes will not match",
	} {
		fmt.Fprintln(&want, "Warning: "+warning)
	}
	expectKubectl(t, stderr, want.String())
}
