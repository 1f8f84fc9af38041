package cluster_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (b controllerBed) of(choices ...string) string { return choices[b.IntN(len(choices))] }

// chance is true once in n times.
func (b controllerBed) chance(n int) bool { return b.IntN(n) == 0 }

func (b controllerBed) key() string   { return b.of("zone", "disk", "cpus") }
func (b controllerBed) value() string { return b.of("a", "b", "4", "16", "") }

func (b controllerBed) labels() map[string]string {
	labels := map[string]string{}
	for range b.IntN(4) {
		labels[b.key()] = b.value()
	}
	return labels
}

// pressures are the conditions that the node lifecycle controller turns into taints.
var pressures = map[corev1.NodeConditionType]string{
	corev1.NodeMemoryPressure:     corev1.TaintNodeMemoryPressure,
	corev1.NodeDiskPressure:       corev1.TaintNodeDiskPressure,
	corev1.NodePIDPressure:        corev1.TaintNodePIDPressure,
	corev1.NodeNetworkUnavailable: corev1.TaintNodeNetworkUnavailable,
}

// drawNode gives a node labels, taints, conditions, and perhaps a cordon. It returns the taints that the node will have.
func (b controllerBed) drawNode(t *testing.T, name string) (taints []string) {
	t.Helper()
	// The node lifecycle controller trusts a condition while its heartbeat is young.
	now := metav1.Now()
	conditions := []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: now}}
	for _, pressure := range []corev1.NodeConditionType{
		corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable,
	} {
		status := corev1.ConditionFalse
		if b.chance(8) {
			status = corev1.ConditionTrue
			taints = append(taints, pressures[pressure]+":NoSchedule")
		}
		conditions = append(conditions, corev1.NodeCondition{Type: pressure, Status: status, LastHeartbeatTime: now})
	}
	own := []corev1.Taint{}
	for _, key := range []string{"team", "gpu"} {
		if b.chance(4) {
			taint := corev1.Taint{Key: key, Value: b.of("", "x", "y"), Effect: corev1.TaintEffect(b.of("NoSchedule", "NoExecute", "PreferNoSchedule"))}
			own, taints = append(own, taint), append(taints, taint.ToString())
		}
	}
	labels := b.labels()
	labels[corev1.LabelHostname] = name
	cordoned := b.chance(5)
	if cordoned {
		taints = append(taints, corev1.TaintNodeUnschedulable+":NoSchedule")
	}
	status := encode(t, conditions)
	b.patchNode(t, name, `[{"op":"add","path":"/status/conditions","value":`+status+`}]`, "status")
	b.patchNode(t, name, fmt.Sprintf(`[{"op":"add","path":"/metadata/labels","value":%s},{"op":"add","path":"/spec/taints","value":%s},{"op":"add","path":"/spec/unschedulable","value":%t}]`,
		encode(t, labels), encode(t, own), cordoned))
	slices.Sort(taints)
	return taints
}

func encode(t *testing.T, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

// drawPod draws all that the predicate reads of a pod template, as far as the API server takes it.
func (b controllerBed) drawPod() corev1.PodSpec {
	pod := corev1.PodSpec{HostNetwork: b.chance(4)}
	if b.chance(5) {
		pod.NodeSelector = map[string]string{b.key(): b.value()}
	}
	if b.chance(12) {
		pod.NodeName = nodeName(b.IntN(nodesOfEach + 1))
	}
	if !b.chance(3) {
		pod.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: b.terms()},
		}}
	}
	for range b.IntN(4) {
		pod.Tolerations = append(pod.Tolerations, b.toleration())
	}
	return pod
}

func (b controllerBed) terms() (terms []corev1.NodeSelectorTerm) {
	for range 1 + b.IntN(3) {
		var term corev1.NodeSelectorTerm
		// An empty term matches nothing.
		for range min(1, b.IntN(10)) * (1 + b.IntN(2)) {
			term.MatchExpressions = append(term.MatchExpressions, b.expression())
		}
		if b.chance(4) {
			term.MatchFields = []corev1.NodeSelectorRequirement{{
				Key: "metadata.name", Operator: corev1.NodeSelectorOperator(b.of("In", "NotIn")), Values: []string{nodeName(b.IntN(nodesOfEach))},
			}}
		}
		terms = append(terms, term)
	}
	return terms
}

func (b controllerBed) expression() corev1.NodeSelectorRequirement {
	expression := corev1.NodeSelectorRequirement{
		Key: b.key(), Operator: corev1.NodeSelectorOperator(b.of("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")),
	}
	switch expression.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		for range 1 + b.IntN(3) {
			expression.Values = append(expression.Values, b.value())
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		expression.Values = []string{b.of("3", "5", "16")}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
	}
	return expression
}

func (b controllerBed) toleration() corev1.Toleration {
	toleration := corev1.Toleration{
		Key:      b.of("team", "gpu", corev1.TaintNodeNetworkUnavailable),
		Operator: corev1.TolerationOperator(b.of("", "Equal", "Exists")),
		Effect:   corev1.TaintEffect(b.of("", "NoSchedule", "NoExecute")),
	}
	if toleration.Operator != corev1.TolerationOpExists {
		toleration.Value = b.of("", "x", "y")
	} else if b.chance(6) {
		toleration.Key, toleration.Effect = "", ""
	}
	return toleration
}
