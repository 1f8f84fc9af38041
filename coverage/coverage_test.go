package coverage_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/coverage"
	"berth.dev/berth/placement"
)

func node(name string, labels map[string]string, taints ...corev1.Taint) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: corev1.NodeSpec{Taints: taints}}
}

func required(expressions ...corev1.NodeSelectorRequirement) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: expressions}},
	}}}
}

func TestEachNodeIsInOneGroupWithTheReason(t *testing.T) {
	linux := corev1.NodeSelectorRequirement{Key: "os", Operator: corev1.NodeSelectorOpIn, Values: []string{"linux"}}
	pod := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeSelector: map[string]string{"pool": "a", "zone": "z"}, Affinity: required(linux)}}
	inPool := map[string]string{"pool": "a", "zone": "z", "os": "linux"}
	got := coverage.Of(pod, []*corev1.Node{
		node("n-2", inPool), node("n-1", inPool), node("n-3", map[string]string{"pool": "a", "zone": "z"}),
		node("n-4", map[string]string{"zone": "z"}), node("n-5", nil), node("n-6", nil),
		node("n-7", inPool, corev1.Taint{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule}),
		node("n-8", inPool, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}),
	})
	want := coverage.Coverage{Total: 8, Runs: []string{"n-1", "n-2", "n-8"}, Excluded: []coverage.Group{
		{Reason: "no label pool=a, zone=z", Nodes: []string{"n-5", "n-6"}},
		{Reason: "no label pool=a", Nodes: []string{"n-4"}},
		{Reason: "required expression os In [linux] is not met", Nodes: []string{"n-3"}},
		{Reason: "taint gpu=yes:NoSchedule is not tolerated", Nodes: []string{"n-7"}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("coverage (-want +got):\n%s", diff)
	}
}

func TestAsManyNodesRunPodsAsTheServerCounts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func(of ...string) string { return of[random.IntN(len(of))] }
	for range 300 {
		var nodes []*corev1.Node
		for i := range 20 {
			labels := map[string]string{draw("pool", "zone"): draw("a", "b"), "os": draw("linux", "windows")}
			nodes = append(nodes, node(fmt.Sprint("n-", i), labels, corev1.Taint{
				Key: draw("gpu", "node.kubernetes.io/disk-pressure"), Effect: corev1.TaintEffect(draw("NoSchedule", "NoExecute", "PreferNoSchedule")),
			}))
		}
		pod := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			NodeSelector: map[string]string{draw("pool", "zone"): draw("a", "b")},
			Affinity: required(corev1.NodeSelectorRequirement{
				Key: draw("os", "pool"), Operator: corev1.NodeSelectorOperator(draw("In", "NotIn", "Bad")), Values: []string{draw("linux", "a")},
			}),
			Tolerations: []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffect(draw("NoSchedule", ""))}},
			NodeName:    draw("", "", "", "n-1"),
		}}
		template := placement.TemplateOf(nil, &pod.Spec)
		want := placement.NodeList(nodes).Survey(nil, &template).Eligible
		if got := coverage.Of(pod, nodes); len(got.Runs) != want {
			t.Fatalf("%d of %v run pods, the server counts %d", len(got.Runs), got, want)
		}
	}
}

func TestWithoutPodsEachNodeHasTheStateThatOneWouldHave(t *testing.T) {
	pod := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeSelector: map[string]string{"pool": "a"}}}
	gpu := corev1.Taint{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}
	got := coverage.Would(pod, []*corev1.Node{
		node("n-3", nil, gpu), node("n-2", map[string]string{"pool": "a"}, gpu), node("n-1", map[string]string{"pool": "a"}),
	})
	taints := []string{"gpu:NoSchedule"}
	want := []coverage.Node{
		{Name: "n-1", State: coverage.WouldRun},
		{Name: "n-2", State: coverage.Tainted, Reason: "taint gpu:NoSchedule is not tolerated", Why: &coverage.Why{Taints: taints}},
		{Name: "n-3", State: coverage.Excluded, Reason: "no label pool=a", Why: &coverage.Why{Labels: []string{"pool=a"}, Taints: taints}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}
