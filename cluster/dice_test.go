package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// dice draws nodes, changes and pod specs from few names, so that they meet.
// Some are malformed.
type dice struct{ *rand.Rand }

func (d dice) of(choices ...string) string { return choices[d.IntN(len(choices))] }

func (d dice) key() string {
	return d.of("app", "zone", "size", "kubernetes.io/hostname", "not a key", "",
		"zones", "example.com/app", "karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup")
}

func (d dice) value() string { return d.of("a", "b", "", "1", "5", "-3", "12x", "007", "not a value!") }

func (d dice) name() string { return fmt.Sprintf("n-%d", d.IntN(150)) }

func (d dice) labels() map[string]string {
	labels := map[string]string{}
	for range d.IntN(4) {
		labels[d.key()] = d.value()
	}
	return labels
}

func (d dice) taint() corev1.Taint {
	return corev1.Taint{
		Key:    d.of("dedicated", "gpu", corev1.TaintNodeNotReady, corev1.TaintNodeUnschedulable, corev1.TaintNodeNetworkUnavailable, ""),
		Value:  d.of("", "a", "b"),
		Effect: corev1.TaintEffect(d.of("NoSchedule", "NoSchedule", "NoExecute", "PreferNoSchedule", "")),
	}
}

func (d dice) taints() []corev1.Taint {
	var taints []corev1.Taint
	for range max(0, d.IntN(6)-2) {
		taint := d.taint()
		taint.TimeAdded = &metav1.Time{Time: time.Unix(d.Int64N(1000), 0)}
		taints = append(taints, taint)
	}
	return taints
}

func (d dice) tolerations() []corev1.Toleration {
	var tolerations []corev1.Toleration
	for range max(0, d.IntN(5)-2) {
		taint := d.taint()
		tolerations = append(tolerations, corev1.Toleration{
			Key:      taint.Key,
			Operator: corev1.TolerationOperator(d.of("", "Equal", "Exists", "Exists", "Gt")),
			Value:    taint.Value,
			Effect:   taint.Effect,
		})
	}
	return tolerations
}

func (d dice) changes() []cluster.NodeChange {
	changes := make([]cluster.NodeChange, d.IntN(40))
	for i := range changes {
		changes[i] = cluster.NodeChange{Name: d.name(), Labels: d.labels(), Taints: d.taints()}
		if d.IntN(3) == 0 {
			changes[i] = cluster.NodeChange{Name: d.name(), Gone: true}
		}
	}
	return changes
}

// crowd is so many nodes with so few labels and taints that the index holds these
// as ids instead of bitmaps.
func (d dice) crowd() []cluster.NodeChange {
	changes := make([]cluster.NodeChange, 1500)
	for i := range changes {
		changes[i] = cluster.NodeChange{Name: fmt.Sprintf("crowd-%d", i)}
		if d.IntN(60) == 0 {
			changes[i].Labels, changes[i].Taints = d.labels(), d.taints()
		}
	}
	return changes
}

func (d dice) requirement(key string) corev1.NodeSelectorRequirement {
	operators := []string{"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "in", ""}
	requirement := corev1.NodeSelectorRequirement{
		Key:      key,
		Operator: corev1.NodeSelectorOperator(d.of(operators...)),
	}
	values := d.IntN(3)
	if requirement.Operator == "Gt" || requirement.Operator == "Lt" {
		values = 1
	}
	for range values {
		requirement.Values = append(requirement.Values, d.value())
	}
	return requirement
}

func (d dice) term() corev1.NodeSelectorTerm {
	var term corev1.NodeSelectorTerm
	for range d.IntN(3) {
		term.MatchExpressions = append(term.MatchExpressions, d.requirement(d.of("app", "zone", "size", d.key())))
	}
	if d.IntN(3) == 0 {
		field := d.requirement(d.of("metadata.name", "metadata.name", "spec.unschedulable", ""))
		field.Values = []string{d.of(d.name(), d.name(), "")}
		term.MatchFields = append(term.MatchFields, field)
	}
	return term
}

func (d dice) template() *placement.Template {
	t := placement.TemplateOf(nil, d.spec())
	return &t
}

func (d dice) spec() *corev1.PodSpec {
	spec := &corev1.PodSpec{Tolerations: d.tolerations(), HostNetwork: d.IntN(4) == 0}
	if d.IntN(10) == 0 {
		spec.NodeName = d.name()
	}
	for range d.IntN(3) {
		if spec.NodeSelector == nil {
			spec.NodeSelector = map[string]string{}
		}
		spec.NodeSelector[d.key()] = d.value()
	}
	switch d.IntN(6) {
	case 0:
	case 1:
		spec.Affinity = &corev1.Affinity{}
	case 2:
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
	default:
		required := &corev1.NodeSelector{}
		for range d.IntN(4) {
			required.NodeSelectorTerms = append(required.NodeSelectorTerms, d.term())
		}
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: required,
		}}
	}
	return spec
}

// before is nil for a DaemonSet that is created.
func (d dice) before() *placement.Template {
	if d.IntN(4) == 0 {
		return nil
	}
	return d.template()
}
