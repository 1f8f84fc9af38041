package cluster_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// largeFleet is nodes that tell each other apart by a number and by a taint.
func largeFleet(n int) *cluster.NodeIndex {
	changes := fleet(n)
	for i := range changes {
		changes[i].Labels["example.com/serial"] = strconv.Itoa(i)
		changes[i].Taints = []corev1.Taint{{Key: fmt.Sprintf("taint-%d", i), Value: "a", Effect: corev1.TaintEffectNoExecute}}
	}
	return (&cluster.NodeIndex{}).Apply(changes)
}

func expression(key, operator string, values ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOperator(operator), Values: values}
}

// repeated is n expressions, in terms of so many.
func repeated(n, each int, expressionAt func(i int) corev1.NodeSelectorRequirement) *placement.Template {
	t := &placement.Template{Affinity: placement.Affinity{Depth: placement.WithRequired}}
	var term corev1.NodeSelectorTerm
	for i := range n {
		term.MatchExpressions = append(term.MatchExpressions, expressionAt(i))
		if len(term.MatchExpressions) == each {
			t.Affinity.Terms = append(t.Affinity.Terms, term)
			term = corev1.NodeSelectorTerm{}
		}
	}
	return t
}

// adversarial are templates within the limits of a request that ask as much of the
// nodes as they can.
func adversarial() map[string]*placement.Template {
	tolerations := &placement.Template{}
	for i := range 10_000 {
		tolerations.Tolerations = append(tolerations.Tolerations, corev1.Toleration{
			Key: fmt.Sprintf("taint-%d", i), Operator: corev1.TolerationOpEqual, Value: []string{"a", "b"}[i%2],
		})
	}
	labels := &placement.Template{NodeSelector: map[string]string{}}
	for i := range 1000 {
		labels.NodeSelector[fmt.Sprintf("example.com/label-%d", i)] = "a"
	}
	var values []string
	for i := range 10_000 {
		values = append(values, fmt.Sprintf("node-%05d", i))
	}
	return map[string]*placement.Template{
		"10,000 tolerations, and as many taints": tolerations,
		"1,000 labels that no node has":          labels,
		"5,000 comparisons in one term": repeated(5000, 5000, func(int) corev1.NodeSelectorRequirement {
			return expression("kubernetes.io/hostname", "Gt", "1")
		}),
		"5,000 comparisons of numbers in as many terms": repeated(5000, 1, func(i int) corev1.NodeSelectorRequirement {
			return expression("example.com/serial", []string{"Gt", "Lt"}[i%2], strconv.Itoa(i))
		}),
		"5,000 comparisons of few numbers": repeated(5000, 2, func(i int) corev1.NodeSelectorRequirement {
			return expression("example.com/rack", []string{"Gt", "Lt"}[i%2], strconv.Itoa(i%375))
		}),
		"5,000 terms": repeated(5000, 1, func(i int) corev1.NodeSelectorRequirement {
			return expression("kubernetes.io/hostname", "NotIn", fmt.Sprintf("node-%05d", i))
		}),
		"10,000 values": repeated(1, 1, func(int) corev1.NodeSelectorRequirement {
			return expression("kubernetes.io/hostname", "In", values...)
		}),
		"1,000 terms of ten labels": repeated(10_000, 10, func(int) corev1.NodeSelectorRequirement {
			return expression("kubernetes.io/os", "Exists")
		}),
	}
}

func TestWhateverATemplateAsksOfManyNodesTakesLittleMemory(t *testing.T) {
	const limit = 16 << 20
	index := largeFleet(15_000)
	for name, template := range adversarial() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			index.Survey(template, template)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > limit {
				t.Errorf("%d bytes are allocated, more than %d", allocated, limit)
			}
		})
	}
}

func BenchmarkAdversarialSurvey(b *testing.B) {
	index := largeFleet(15_000)
	for name, template := range adversarial() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				index.Survey(template, template)
			}
		})
	}
}

// worstEdit is a change of a DaemonSet that has as much as the limits allow of
// tolerations, terms and an annotation, under policies of both modes, of which some
// warn of a contradiction, with a stored receipt.
func worstEdit(tb testing.TB) (*cluster.Snapshot, func() cluster.Question) {
	tb.Helper()
	var list []v1alpha1.PlacementPolicy
	for i := range 100 {
		p := v1alpha1.PlacementPolicy{}
		p.Name = fmt.Sprintf("policy-%03d", i)
		p.Spec.NodeSelectorFrom = []v1alpha1.NodeSelectorSource{{Type: v1alpha1.NodeSelectorFromWorkloadAnnotation}}
		p.Spec.Tolerations = []v1alpha1.Toleration{{Key: p.Name, Operator: corev1.TolerationOpExists}}
		if i%2 == 0 {
			p.Spec.Mode = v1alpha1.ModeAudit
			p.Spec.NodeSelector = map[string]v1alpha1.NodeLabelValue{"audited": "yes"}
		}
		if i > 97 {
			p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Warn}
			p.Spec.NodeRequirements = []v1alpha1.NodeRequirement{{Key: "x", Operator: "Exists"}, {Key: "x", Operator: "DoesNotExist"}}
		}
		list = append(list, p)
	}
	compiled, failed := placement.Compile(list)
	if len(failed) > 0 {
		tb.Fatal(failed)
	}
	templates := adversarial()
	edit := func(serial int) *placement.Object {
		template := *templates["5,000 comparisons of numbers in as many terms"]
		template.Affinity.Terms = slices.Clone(template.Affinity.Terms)
		template.Affinity.Terms[0] = corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
			expression("example.com/serial", "Gt", strconv.Itoa(serial)),
		}}
		template.Labels = map[string]string{"app": "a"}
		template.Tolerations = templates["10,000 tolerations, and as many taints"].Tolerations
		labels := make([]string, 50)
		for i := range labels {
			labels[i] = fmt.Sprintf("example.com/label-%d=a", i)
		}
		return &placement.Object{
			Namespace: "default", Name: "worst", Template: template, Selector: &metav1.LabelSelector{MatchLabels: template.Labels},
			Annotations: map[string]string{
				v1alpha1.DefaultWorkloadAnnotation: strings.Join(labels, ","),
				placement.InjectedAnnotation:       `{"version":2,"policies":{"policy-001":{"tolerations":[{"key":"taint-1"},{"key":"policy-001","operator":"Exists"}]}}}`,
			},
		}
	}
	snapshot := cluster.NewSnapshot(compiled, []placement.Namespace{{Name: "default"}}, largeFleet(15_000))
	policies, _ := snapshot.PoliciesFor("default")
	old, updated := edit(1), edit(2)
	return snapshot, func() cluster.Question {
		return cluster.Question{Question: placement.Question{New: updated, Old: old}, Policies: policies}
	}
}

func TestTheWorstEditTakesLittleMemory(t *testing.T) {
	const limit = 32 << 20
	snapshot, ask := worstEdit(t)
	q := ask()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	decision := snapshot.Evaluate(&q)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > limit {
		t.Errorf("%d bytes are allocated, more than %d", allocated, limit)
	}
	if len(decision.Policies) != 50 || decision.Audited == nil {
		t.Errorf("policies %v", decision.Policies)
	}
}

func BenchmarkAdversarialEvaluate(b *testing.B) {
	snapshot, ask := worstEdit(b)
	b.ReportAllocs()
	for b.Loop() {
		q := ask()
		snapshot.Evaluate(&q)
	}
}
