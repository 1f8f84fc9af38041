package placement_test

import (
	"fmt"
	"strconv"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// addSeeds gives a fuzz target so many seeds of so many bytes.
func addSeeds(f *testing.F, seeds, length int) {
	f.Helper()
	for seed := range seeds {
		bytes := make([]byte, length)
		for i := range bytes {
			bytes[i] = byte((i*i*7 + seed*31 + i*seed) >> 1)
		}
		f.Add(bytes)
	}
}

// choices turns fuzz bytes into a case of the laws. Keys and values come from a
// small universe, so that they meet.
type choices struct{ bytes []byte }

func (c *choices) pick(n int) int {
	if len(c.bytes) == 0 {
		return 0
	}
	b := c.bytes[0]
	c.bytes = c.bytes[1:]
	return int(b) % n
}

func (c *choices) key() string   { return [...]string{"app", "pool", "a/b"}[c.pick(3)] }
func (c *choices) value() string { return [...]string{"x", "y", "1", "2"}[c.pick(4)] }

func (c *choices) labels() map[string]string {
	var labels map[string]string
	for range c.pick(4) {
		if labels == nil {
			labels = map[string]string{}
		}
		labels[c.key()] = c.value()
	}
	return labels
}

func (c *choices) values() []string {
	var values []string
	for range c.pick(3) {
		values = append(values, c.value())
	}
	return values
}

func (c *choices) toleration() corev1.Toleration {
	return corev1.Toleration{
		Key:      c.key(),
		Operator: [...]corev1.TolerationOperator{"", "Equal", "Exists"}[c.pick(3)],
		Value:    c.value(),
		Effect:   [...]corev1.TaintEffect{"", "NoSchedule", "NoExecute"}[c.pick(3)],
	}
}

func (c *choices) requirements() []v1alpha1.NodeRequirement {
	var list []v1alpha1.NodeRequirement
	for range c.pick(3) {
		r := v1alpha1.NodeRequirement{Key: c.key()}
		switch c.pick(3) {
		case 0:
			r.Operator, r.Values = "NotIn", append(c.values(), c.value())
		case 1:
			r.Operator = "Exists"
		case 2:
			r.Operator, r.Values = "Gt", []string{"1"}
		}
		list = append(list, r)
	}
	return list
}

func (c *choices) terms() []corev1.NodeSelectorTerm {
	operators := [...]corev1.NodeSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Bad"}
	var terms []corev1.NodeSelectorTerm
	for range c.pick(4) {
		var term corev1.NodeSelectorTerm
		for range c.pick(3) {
			term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{
				Key: c.key(), Operator: operators[c.pick(len(operators))], Values: c.values(),
			})
		}
		if c.pick(4) == 1 {
			term.MatchFields = []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{"n-1"}}}
		}
		terms = append(terms, term)
	}
	return terms
}

func (c *choices) daemonSet() *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "ds", Labels: c.labels()}}
	if c.pick(8) != 1 {
		ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: c.labels()}
		for range c.pick(3) {
			operators := [...]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist", "Bad"}
			ds.Spec.Selector.MatchExpressions = append(ds.Spec.Selector.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: c.key(), Operator: operators[c.pick(len(operators))], Values: c.values(),
			})
		}
		ds.Spec.Template.Labels = ds.Spec.Selector.MatchLabels
	}
	pod := &ds.Spec.Template.Spec
	pod.NodeSelector = c.labels()
	if c.pick(3) > 0 {
		pod.Affinity = &corev1.Affinity{}
		if c.pick(3) > 0 {
			pod.Affinity.NodeAffinity = &corev1.NodeAffinity{}
			if c.pick(4) > 0 {
				pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: c.terms()}
			}
		}
	}
	for range c.pick(3) {
		pod.Tolerations = append(pod.Tolerations, c.toleration())
	}
	if c.pick(6) == 1 {
		ds.Annotations = map[string]string{placement.InjectedAnnotation: [...]string{
			"", "{", "null", `{"nodeSelector":{"pool":"x"}}`, `{"replaced":{"pool":["x","y"]},"tolerations":[{"key":"pool","operator":"Exists"}]}`,
			`{"nodeRequirements":[{"key":"app","operator":"Exists"},{"key":"pool","operator":"In","values":["x"]}]}`,
		}[c.pick(6)]}
	}
	return ds
}

// policies makes policies that only narrow: PreferPolicy moves a DaemonSet from
// some nodes to others, as its name says.
func (c *choices) policies() []v1alpha1.PlacementPolicy {
	var list []v1alpha1.PlacementPolicy
	for i := range c.pick(4) {
		p := v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p-%d", i)}}
		p.Spec.NodeSelector = map[string]v1alpha1.NodeLabelValue{}
		for key, value := range c.labels() {
			p.Spec.NodeSelector[key] = v1alpha1.NodeLabelValue(value)
		}
		p.Spec.NodeRequirements = c.requirements()
		if c.pick(3) == 1 {
			toleration := v1alpha1.Toleration(c.toleration())
			if toleration.Operator == corev1.TolerationOpExists {
				toleration.Value = ""
			}
			p.Spec.Tolerations = []v1alpha1.Toleration{toleration}
		}
		if len(p.Spec.NodeSelector) == 0 || c.pick(2) == 0 {
			p.Spec.NodeSelectorFrom = []v1alpha1.NodeSelectorSource{{Type: v1alpha1.NodeSelectorFromWorkloadSelector}}
		}
		p.Spec.ConflictPolicy = [...]v1alpha1.ConflictPolicy{"Reject", "PreferExisting"}[c.pick(2)]
		p.Spec.ValidationActions = [...][]v1alpha1.ValidationAction{nil, {"Warn"}, {"Audit"}}[c.pick(3)]
		list = append(list, p)
	}
	return list
}

// universe has a node for each set of labels that the choices can ask for.
func universe() placement.NodeList {
	var nodes placement.NodeList
	values := [...]string{"", "x", "y", "1", "2"}
	for i := range len(values) * len(values) * len(values) {
		labels := map[string]string{}
		for key, value := range map[string]string{
			"app": values[i%5], "pool": values[i/5%5], "a/b": values[i/25],
		} {
			if value != "" {
				labels[key] = value
			}
		}
		nodes = append(nodes, node("n-"+strconv.Itoa(i), labels))
	}
	return nodes
}
