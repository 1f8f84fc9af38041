package placement_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// attack is a write within the limits of a request that asks as much of the
// policies as it can.
type attack struct {
	policies []v1alpha1.PlacementPolicy
	edit     func(ds *appsv1.DaemonSet)
	update   bool // of a DaemonSet that is the same but for its image
	// annotate is an update of a DaemonSet that is the same but for an annotation.
	annotate bool
	denied   string
}

func numbered[T any](n int, element func(i int) T) []T {
	var list []T
	for i := range n {
		list = append(list, element(i))
	}
	return list
}

func policies(t testing.TB, n int, spec string) []v1alpha1.PlacementPolicy {
	t.Helper()
	return numbered(n, func(i int) v1alpha1.PlacementPolicy { return policy(t, fmt.Sprintf("policy-%04d", i), spec) })
}

func prefixed(prefix string, list []v1alpha1.PlacementPolicy) []v1alpha1.PlacementPolicy {
	for i := range list {
		list[i].Name = prefix + "-" + list[i].Name
	}
	return list
}

func required(ds *appsv1.DaemonSet, terms []corev1.NodeSelectorTerm) {
	ds.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}
}

func selecting(ds *appsv1.DaemonSet, labels int) {
	for i := range labels {
		key := fmt.Sprintf("example.com/label-%d", i)
		ds.Spec.Selector.MatchLabels[key], ds.Spec.Template.Labels[key] = "a", "a"
	}
}

func noLabels(ds *appsv1.DaemonSet) {
	for i := range 900 {
		ds.Spec.Selector.MatchLabels[fmt.Sprintf("-%d", i)] = "-"
	}
}

func doNotExist(ds *appsv1.DaemonSet, expressions int) {
	ds.Spec.Selector.MatchExpressions = numbered(expressions, func(i int) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: fmt.Sprintf("x%d", i), Operator: metav1.LabelSelectorOpDoesNotExist}
	})
}

func tolerating(ds *appsv1.DaemonSet, n int) {
	ds.Spec.Template.Spec.Tolerations = numbered(n, func(i int) corev1.Toleration {
		return corev1.Toleration{Key: fmt.Sprintf("taint-%d", i), Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
	})
}

// receiptOf is a receipt of at most so many bytes that claims tolerations.
func receiptOf(limit int) string {
	const head, tail = `{"version":2,"policies":{"policy-0000":{"tolerations":[`, `]}}}`
	var claims []string
	for size, i := len(head)+len(tail), 0; ; i++ {
		claim := fmt.Sprintf(`{"key":"taint-%d","operator":"Exists","effect":"NoSchedule"}`, i)
		if size += len(claim) + 1; size > limit {
			return head + strings.Join(claims, ",") + tail
		}
		claims = append(claims, claim)
	}
}

func attacks(t testing.TB) map[string]attack {
	term := func(int) corev1.NodeSelectorTerm {
		return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "kubernetes.io/os", Operator: corev1.NodeSelectorOpExists}}}
	}
	annotation := labelsText(10_000)
	tolerations := strings.Join(numbered(64, func(i int) string { return fmt.Sprintf("{key: other-%d, operator: Exists}", i) }), ", ")
	annotated := func(text string) func(*appsv1.DaemonSet) {
		return func(ds *appsv1.DaemonSet) {
			ds.Annotations = map[string]string{v1alpha1.DefaultWorkloadAnnotation: text}
		}
	}
	return map[string]attack{
		"300 expressions for 1,000 terms": {
			policies: policies(t, 1, ownLabel),
			edit: func(ds *appsv1.DaemonSet) {
				doNotExist(ds, 300)
				required(ds, numbered(1000, term))
			},
			denied: "more than 2000 in all",
		},
		"1,000 expressions for 5,000 terms, which are updated": {
			policies: policies(t, 1, ownLabel), update: true,
			edit: func(ds *appsv1.DaemonSet) {
				doNotExist(ds, 1000)
				required(ds, numbered(5000, term))
			},
		},
		"1,000 expressions for a long term": {
			policies: policies(t, 1, ownLabel),
			edit: func(ds *appsv1.DaemonSet) {
				doNotExist(ds, 1000)
				required(ds, []corev1.NodeSelectorTerm{{MatchExpressions: numbered(9000, func(i int) corev1.NodeSelectorRequirement {
					return corev1.NodeSelectorRequirement{Key: fmt.Sprintf("y%d", i), Operator: corev1.NodeSelectorOpExists}
				})}})
			},
			denied: "does not fit into its annotation",
		},
		"values that exclude each other one by one": {
			policies: policies(t, 1, ownLabel),
			edit: func(ds *appsv1.DaemonSet) {
				values := numbered(5000, func(i int) string { return fmt.Sprintf("v%d", i) })
				expressions := []corev1.NodeSelectorRequirement{{Key: "x", Operator: corev1.NodeSelectorOpIn, Values: values}}
				for _, value := range values {
					expressions = append(expressions, corev1.NodeSelectorRequirement{Key: "x", Operator: corev1.NodeSelectorOpNotIn, Values: []string{value}})
				}
				required(ds, []corev1.NodeSelectorTerm{{MatchExpressions: expressions}})
			},
		},
		"a forged receipt of 460 KB, and 10,000 tolerations": {
			policies: policies(t, 1, ownLabel),
			edit: func(ds *appsv1.DaemonSet) {
				ds.Annotations = map[string]string{placement.InjectedAnnotation: receiptOf(460 << 10)}
				tolerating(ds, 10_000)
			},
		},
		"a stored receipt of 460 KB, and no policies": {
			update: true,
			edit: func(ds *appsv1.DaemonSet) {
				ds.Annotations = map[string]string{placement.InjectedAnnotation: receiptOf(460 << 10)}
				tolerating(ds, 10_000)
			},
		},
		"a stored receipt of 16 KiB, and 10,000 tolerations": {
			policies: policies(t, 100, ownLabel), update: true,
			edit: func(ds *appsv1.DaemonSet) {
				ds.Annotations = map[string]string{placement.InjectedAnnotation: receiptOf(16 << 10)}
				tolerating(ds, 10_000)
			},
		},
		"100 policies of 64 tolerations, and 10,000 of its own": {
			policies: policies(t, 100, "tolerations: ["+tolerations+"]"),
			edit:     func(ds *appsv1.DaemonSet) { tolerating(ds, 10_000) },
		},
		"100 policies of 15 sources, and a selector of 900 labels": {
			policies: policies(t, 100, "nodeSelectorFrom: ["+strings.Join(numbered(15, func(int) string { return "{type: WorkloadSelector}" }), ", ")+"]"),
			edit:     func(ds *appsv1.DaemonSet) { selecting(ds, 900) },
			denied:   "use fewer labels",
		},
		"100 policies that read an annotation of 10,000 labels": {
			policies: policies(t, 100, "nodeSelectorFrom: [{type: WorkloadAnnotation}]"),
			edit:     annotated(annotation),
			denied:   "use fewer labels",
		},
		"100 policies that allow one key of an annotation of 10,000": {
			policies: policies(t, 100, "nodeSelectorFrom: [{type: WorkloadAnnotation, workloadAnnotation: {allowedKeys: [pool]}}]"),
			edit:     annotated(annotation),
			denied:   "use pool",
		},
		"100 policies that read an annotation of 10,000 labels, half of them in mode Audit, at an update": {
			policies: append(policies(t, 50, "nodeSelectorFrom: [{type: WorkloadAnnotation}]"),
				prefixed("audit", policies(t, 50, "mode: Audit\nnodeSelectorFrom: [{type: WorkloadAnnotation}]"))...),
			edit: annotated(annotation), update: true,
		},
		"100 policies that read an annotation of 250 KB, which is none, at an update": {
			policies: policies(t, 100, "nodeSelectorFrom: [{type: WorkloadAnnotation}]"),
			edit:     annotated(strings.Repeat("x", 250_000)), update: true,
		},
		"100 policies that contradict themselves and only warn, and read an annotation of 90 labels": {
			policies: policies(t, 100, "validationActions: [Warn]\nnodeSelectorFrom: [{type: WorkloadAnnotation}]\n"+
				"nodeRequirements: [{key: x, operator: Exists}, {key: x, operator: DoesNotExist}]"),
			edit: annotated(labelsText(90)), update: true,
		},
		"a policy that contradicts itself and only warns, beside 98 that read an annotation of 100 labels": {
			policies: append(append(policies(t, 49, "nodeSelectorFrom: [{type: WorkloadAnnotation}]"),
				prefixed("audit", policies(t, 49, "mode: Audit\nconflictPolicy: PreferPolicy\nnodeSelectorFrom: [{type: WorkloadAnnotation}]"))...),
				policy(t, "warns", "validationActions: [Warn]\nnodeRequirements: [{key: x, operator: Exists}, {key: x, operator: DoesNotExist}]")),
			edit: func(ds *appsv1.DaemonSet) {
				ds.Annotations = map[string]string{v1alpha1.DefaultWorkloadAnnotation: labelsText(100), placement.InjectedAnnotation: receiptOf(16 << 10)}
				tolerating(ds, 1000)
			},
			update: true,
		},
		"100 policies of 15 sources, and an expression of 990 values": {
			policies: policies(t, 100, "nodeSelectorFrom: ["+strings.Join(numbered(15, func(int) string { return "{type: WorkloadSelector}" }), ", ")+"]"),
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{
					Key: "app", Operator: metav1.LabelSelectorOpIn,
					Values: append([]string{"example"}, numbered(989, func(i int) string { return fmt.Sprintf("value-%d", i) })...),
				}}
			},
			update: true,
		},
		"a stored receipt of 460 KB, and 100 policies": {
			policies: policies(t, 100, ownLabel), update: true,
			edit: func(ds *appsv1.DaemonSet) {
				ds.Annotations = map[string]string{placement.InjectedAnnotation: receiptOf(460 << 10)}
				tolerating(ds, 10_000)
			},
		},
		"100 policies that wait, of 64 tolerations, for 10,000 tolerations and 3,000 terms": {
			policies: policies(t, 100, "updatePolicy: CreateOnly\nnodeRequirements: [{key: x, operator: Exists}]\ntolerations: ["+tolerations+"]"),
			edit: func(ds *appsv1.DaemonSet) {
				tolerating(ds, 10_000)
				required(ds, numbered(3000, term))
			},
			update: true,
		},
		"100 policies, of which half act always and half wait, that contradict each other, for 60 terms and an annotation of 90 labels": {
			policies: append(policies(t, 50, "nodeSelectorFrom: [{type: WorkloadAnnotation}]\nnodeRequirements: ["+excluding("b")+"]"),
				prefixed("always", policies(t, 50, "updatePolicy: Always\nvalidationActions: [Warn]\nnodeSelectorFrom: [{type: WorkloadAnnotation}]\nnodeRequirements: ["+excluding("a")+"]"))...),
			edit: func(ds *appsv1.DaemonSet) {
				ds.Annotations = map[string]string{v1alpha1.DefaultWorkloadAnnotation: labelsText(90)}
				required(ds, numbered(60, func(int) corev1.NodeSelectorTerm {
					return corev1.NodeSelectorTerm{MatchExpressions: numbered(32, func(i int) corev1.NodeSelectorRequirement {
						return corev1.NodeSelectorRequirement{Key: fmt.Sprintf("x%d", i), Operator: corev1.NodeSelectorOpIn, Values: []string{"a", "b"}}
					})}
				}))
			},
			annotate: true,
		},
		"100 policies that wait, and a selector that is none": {
			policies: policies(t, 100, "updatePolicy: CreateOnly\n"+ownLabel),
			edit:     noLabels, update: true,
		},
		"100 policies that act, and a selector that is none": {
			policies: policies(t, 100, ownLabel),
			edit:     noLabels, update: true,
		},
		"100 policies of which each wants another value of 64 keys": {
			policies: numbered(100, func(i int) v1alpha1.PlacementPolicy {
				return policy(t, fmt.Sprintf("policy-%04d", i), "nodeSelector: {"+strings.Join(numbered(64, func(k int) string {
					return fmt.Sprintf("key-%d: value-%d", k, i)
				}), ", ")+"}")
			}),
			denied: "no node has both",
		},
	}
}

// excluding is expressions of 32 keys.
func excluding(value string) string {
	return strings.Join(numbered(32, func(i int) string { return fmt.Sprintf("{key: x%d, operator: NotIn, values: [%s]}", i, value) }), ", ")
}

// labelsText is an annotation of so many labels.
func labelsText(n int) string {
	return strings.Join(numbered(n, func(i int) string { return fmt.Sprintf("example.com/label-%d=a", i) }), ",")
}

// ask returns what is asked, and what to ask it of.
func (a *attack) ask(t testing.TB) (placement.Policies, write) {
	ds := daemonSet(t, tutorial)
	if a.edit != nil {
		a.edit(ds)
	}
	w := write{DaemonSet: ds}
	if a.update {
		w.Old = ds.DeepCopy()
		ds.Spec.Template.Spec.Containers[0].Image = "example-image:next"
	}
	if a.annotate {
		w.Old = ds.DeepCopy()
		metav1.SetMetaDataAnnotation(&ds.ObjectMeta, "a", "b")
	}
	return compile(t, a.policies...), w
}

// audit returns what the audit asks of the DaemonSet, and what it asks.
func (a *attack) audit(t testing.TB) (placement.Applicable, *placement.Question) {
	compiled, w := a.ask(t)
	q := placement.NextTemplateChange(placement.ObjectOf(w.DaemonSet), nil)
	return compiled.InNamespace(w.Namespace).Select(q.New, q.Old, nil), q
}
