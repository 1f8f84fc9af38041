package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// anyNodes keeps the node checks out of a test of something else.
const anyNodes = "nodeChecks: {minMatchingNodes: 0, maxNodesLost: 100%}\n"

func TestTheAnnotationOfADaemonSetPlacesItByTheAllowedKeys(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-pool", "a", "n-2", "n-5")
	applyPolicy(t, namespace, "from-daemonset", anyNodes+
		`nodeSelectorFrom: [{type: WorkloadAnnotation, workloadAnnotation: {allowedKeys: [e2e-pool, e2e-zone]}}]`)
	annotated := func(value string) string {
		return withMetadata(agent(""), `annotations: {berth.dev/node-selector: "`+value+`"}`)
	}

	if diff := cmp.Diff(map[string]string(nil), placed(t, namespace, agent(""))); diff != "" {
		t.Errorf("nodeSelector without the annotation (-want +got):\n%s", diff)
	}
	create(t, namespace, annotated("e2e-pool=a"))
	expectPods(t, namespace, "agent", "n-2", "n-5")
	rejected := map[string][]string{
		"disk=ssd": {`metadata.annotations[berth.dev/node-selector]: Forbidden: policy "from-daemonset" does not allow the key "disk" here: use e2e-pool, e2e-zone`},
		"e2e-pool": {`metadata.annotations[berth.dev/node-selector]: Invalid value: "e2e-pool": "e2e-pool" is not key=value`},
	}
	for value, want := range rejected {
		if diff := cmp.Diff(want, createRejected(t, namespace, annotated(value))); diff != "" {
			t.Errorf("%s: causes (-want +got):\n%s", value, diff)
		}
	}
}

func TestThePlacementIsTheUnionOfAllSourcesAndContradictionsNameThem(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "union", anyNodes+`
nodeSelector: {e2e-disk: ssd}
nodeSelectorFrom:
- {type: WorkloadSelector, workloadSelector: {keyPrefixes: [app], exceptKeys: [app-version]}}
- {type: NamespaceAnnotation}
- {type: WorkloadAnnotation, workloadAnnotation: {key: example.com/where}}
`)
	annotateNamespace(t, namespace, podNodeSelectorKey+"=e2e-pool=a")
	manifest := func(where string) string {
		labelled := strings.ReplaceAll(agent(""), "{app: agent}", "{app: agent, app-version: v1, tier: x}")
		return withMetadata(labelled, `annotations: {example.com/where: "`+where+`"}`)
	}
	want := map[string]string{"app": "agent", "e2e-disk": "ssd", "e2e-pool": "a", "e2e-zone": "z"}
	if diff := cmp.Diff(want, placed(t, namespace, manifest("e2e-zone=z"))); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
	contradiction := []string{`spec.template.spec.nodeSelector[e2e-pool]: Forbidden: policy "union" requires e2e-pool=a (from annotation ` +
		podNodeSelectorKey + ` of namespace "` + namespace + `"), policy "union" requires e2e-pool=b (from the DaemonSet's annotation example.com/where): ` +
		`no node has both; ask a cluster admin to change one of them`}
	if diff := cmp.Diff(contradiction, createRejected(t, namespace, manifest("e2e-pool=b"))); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

func TestNodeRequirementsNarrowEveryTerm(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-cpus", "4", "n-1")
	labelNodes(t, "e2e-cpus", "16", "n-2", "n-3", "n-4", "n-5")
	labelNodes(t, "e2e-virtual", "yes", "n-3")
	labelNodes(t, "e2e-rack", "a", "n-2", "n-3")
	labelNodes(t, "e2e-rack", "b", "n-1", "n-4")
	labelNodes(t, "e2e-rack", "c", "n-5")
	applyPolicy(t, namespace, "real-and-large", anyNodes+`
nodeRequirements:
- {key: e2e-virtual, operator: NotIn, values: ["yes"]}
- {key: e2e-rack, operator: Exists}
- {key: e2e-rack, operator: In, values: [d, c, b, a]}
- {key: e2e-cpus, operator: Gt, values: ["8"]}
- {key: e2e-cpus, operator: Lt, values: ["32"]}
- {key: e2e-cordon, operator: DoesNotExist}
`)
	create(t, namespace, agent(`
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
      - matchExpressions: [{key: e2e-rack, operator: In, values: [a, b]}]
      - matchFields: [{key: metadata.name, operator: In, values: [n-1]}]
`))
	// Without the policy: n-1 to n-4 by their racks.
	expectPods(t, namespace, "agent", "n-2", "n-4")
	required := []corev1.NodeSelectorRequirement{
		{Key: "e2e-cordon", Operator: "DoesNotExist"}, {Key: "e2e-cpus", Operator: "Gt", Values: []string{"8"}},
		{Key: "e2e-cpus", Operator: "Lt", Values: []string{"32"}}, {Key: "e2e-rack", Operator: "Exists"},
		{Key: "e2e-rack", Operator: "In", Values: []string{"a", "b", "c", "d"}},
		{Key: "e2e-virtual", Operator: "NotIn", Values: []string{"yes"}},
	}
	racks := corev1.NodeSelectorRequirement{Key: "e2e-rack", Operator: "In", Values: []string{"a", "b"}}
	want := []corev1.NodeSelectorTerm{
		{MatchExpressions: append([]corev1.NodeSelectorRequirement{racks}, required...)},
		{MatchExpressions: required, MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{"n-1"}}}},
	}
	got := get(t, namespace, "agent").Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nodeSelectorTerms (-want +got):\n%s", diff)
	}
	// With no terms of its own, the DaemonSet gets one.
	namespace = newNamespace(t, nil)
	applyPolicy(t, namespace, "large", anyNodes+`nodeRequirements: [{key: e2e-cpus, operator: Gt, values: ["8"]}]`)
	create(t, namespace, agent(""))
	expectPods(t, namespace, "agent", "n-2", "n-3", "n-4", "n-5")
}

// taintNode taints a node, which has no taint of its own, until the test ends.
func taintNode(t *testing.T, node string, taint corev1.Taint) {
	t.Helper()
	patch := func(taints string) {
		t.Helper()
		text := []byte(`{"spec":{"taints":` + taints + `}}`)
		if _, err := cp.Client.CoreV1().Nodes().Patch(bare(), node, types.MergePatchType, text, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	patch(`[{"key":"` + taint.Key + `","value":"` + taint.Value + `","effect":"` + string(taint.Effect) + `"}]`)
	t.Cleanup(func() { patch("null") })
}

func TestTolerationsOfAPolicyPutADaemonSetOnTaintedNodes(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-gpu", "yes", "n-3", "n-4", "n-5")
	taintNode(t, "n-4", corev1.Taint{Key: "e2e-gpu", Value: "a", Effect: corev1.TaintEffectNoSchedule})
	taintNode(t, "n-5", corev1.Taint{Key: "e2e-other", Value: "b", Effect: corev1.TaintEffectNoSchedule})
	applyPolicy(t, namespace, "gpu", `
nodeSelector: {e2e-gpu: "yes"}
tolerations:
- {key: e2e-gpu, operator: Exists, effect: NoSchedule}
- {key: mine, value: x}
`)
	stderr := create(t, namespace, agent(`tolerations: [{key: mine, operator: Equal, value: x}]`))
	expectKubectl(t, stderr, "Warning: 1 more node has the labels, and the untolerated taint e2e-other=b:NoSchedule: add a toleration if it is to run there\n")
	expectPods(t, namespace, "agent", "n-3", "n-4")
	want := []corev1.Toleration{
		{Key: "mine", Operator: "Equal", Value: "x"},
		{Key: "e2e-gpu", Operator: "Exists", Effect: "NoSchedule"},
	}
	if diff := cmp.Diff(want, get(t, namespace, "agent").Spec.Template.Spec.Tolerations); diff != "" {
		t.Errorf("tolerations (-want +got):\n%s", diff)
	}
}
