package reliability_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// adversary is a review that asks for as much memory or time as it can, and how it is answered.
type adversary struct {
	name   string
	review string
	code   int
}

// attackedPolicies are for the namespace of an attack: one reads all that an author can write, one has conditions.
const attackedPolicies = `
apiVersion: berth.dev/v1alpha1
kind: PlacementPolicy
metadata: {name: attacked}
spec:
  matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}
  nodeSelectorFrom: [{type: WorkloadSelector}, {type: WorkloadAnnotation}]
  tolerations: [{key: attacked, operator: Exists}]
---
apiVersion: berth.dev/v1alpha1
kind: PlacementPolicy
metadata: {name: attacked-conditions}
spec:
  matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}
  matchConditions: [{name: busy, expression: "object.spec.template.spec.?tolerations.orValue([]).all(t, t.key != 'x')"}]
  nodeSelector: {attacked: "true"}
`

// attackedNamespace is one with these policies in force.
func attackedNamespace(t *testing.T) string {
	t.Helper()
	namespace := enabledNamespace(t)
	manifest := strings.ReplaceAll(attackedPolicies, "NAMESPACE", namespace)
	if _, _, err := cp.Kubectl(t.Context(), manifest, "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kubectl(t, "delete", "placementpolicy", "attacked", "attacked-conditions") })
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "placementpolicy/attacked", "placementpolicy/attacked-conditions")
	return namespace
}

// adversaries are of every kind that the tests of webhook, admission and placement know.
func adversaries(t *testing.T, namespace string) []adversary {
	t.Helper()
	with := func(edit func(*appsv1.DaemonSet)) string {
		ds := daemonSet(t)
		edit(ds)
		return string(review(t, namespace, ds))
	}
	plain := with(func(*appsv1.DaemonSet) {})
	inSpec := func(text string) string { return strings.Replace(plain, `"spec":{`, `"spec":{"new":`+text+`,`, 1) }
	const most = 16<<20 - 4096
	return []adversary{
		{"16 MB of DEL for a kind", strings.Replace(plain, "AdmissionReview", strings.Repeat("\x7f", most), 1), http.StatusBadRequest},
		{"16 MB of DEL in a label", with(func(ds *appsv1.DaemonSet) { ds.Labels = map[string]string{"a": strings.Repeat("\x7f", most)} }), http.StatusOK},
		{"16 MB of white space", strings.Repeat(" ", most), http.StatusBadRequest},
		{"15 MB of brackets", strings.Repeat("[", 15<<20), http.StatusBadRequest},
		{"more than 16 MiB", with(func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Hostname = strings.Repeat("x", 17<<20) }), http.StatusOK},
		{"lists 9,000 deep", inSpec(strings.Repeat("[", 9000) + strings.Repeat("]", 9000)), http.StatusOK},
		{"lists 100,000 deep", inSpec(strings.Repeat("[", 100_000)), http.StatusBadRequest},
		{"half a review", plain[:len(plain)/2], http.StatusBadRequest},
		{"no UTF-8", inSpec("\"\xff\""), http.StatusBadRequest},
		{"a real one of 7 MiB", with(func(ds *appsv1.DaemonSet) {
			ds.Spec.Template.Spec.Containers[0].Args = []string{strings.Repeat("x", 7<<20)}
		}), http.StatusOK},
		{"1 MB of small strings", with(func(ds *appsv1.DaemonSet) {
			ds.Spec.Template.Spec.Containers[0].Args = numbered(130_000, func(i int) string { return fmt.Sprintf("%05d", i) })
		}), http.StatusOK},
		{"300 expressions for 1,000 terms", with(func(ds *appsv1.DaemonSet) { doNotExist(ds, 300, 1000) }), http.StatusOK},
		{"900 expressions for 4,000 terms", with(func(ds *appsv1.DaemonSet) { doNotExist(ds, 900, 4000) }), http.StatusOK},
		{"a forged receipt of 460 KB", with(forgedReceipt), http.StatusOK},
		{"an annotation of 10,000 labels", with(func(ds *appsv1.DaemonSet) {
			labels := numbered(10_000, func(i int) string { return fmt.Sprintf("example.com/label-%d=a", i) })
			ds.Annotations = map[string]string{"berth.dev/node-selector": strings.Join(labels, ",")}
		}), http.StatusOK},
		{"7 MiB of bad labels", strings.Replace(plain, `"matchLabels":{`, `"matchLabels":{`+
			strings.Join(numbered(500_000, func(i int) string { return fmt.Sprintf(`"k%07d":"-",`, i) }), ""), 1), http.StatusOK},
	}
}

func numbered[T any](n int, element func(i int) T) []T {
	var list []T
	for i := range n {
		list = append(list, element(i))
	}
	return list
}

// doNotExist selects by so many expressions, and requires one of so many terms.
func doNotExist(ds *appsv1.DaemonSet, expressions, terms int) {
	ds.Spec.Selector.MatchExpressions = numbered(expressions, func(i int) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: fmt.Sprintf("x%d", i), Operator: metav1.LabelSelectorOpDoesNotExist}
	})
	ds.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: numbered(terms, func(int) corev1.NodeSelectorTerm {
			return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "os", Operator: corev1.NodeSelectorOpExists}}}
		})},
	}}
}

// forgedReceipt claims that berth has written 7,000 of 10,000 tolerations.
func forgedReceipt(ds *appsv1.DaemonSet) {
	ds.Spec.Template.Spec.Tolerations = numbered(10_000, func(i int) corev1.Toleration {
		return corev1.Toleration{Key: fmt.Sprintf("taint-%d", i), Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
	})
	claims := numbered(7000, func(i int) string {
		return fmt.Sprintf(`{"key":"taint-%d","operator":"Exists","effect":"NoSchedule"}`, i)
	})
	ds.Annotations = map[string]string{
		"berth.dev/injected": `{"version":2,"policies":{"attacked":{"tolerations":[` + strings.Join(claims, ",") + `]}}}`,
	}
}
