package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// required is what the policies ask for of one DaemonSet.
type required struct {
	// labels are sorted and unique. A key that occurs more than once, with
	// different values, is a conflict between policies.
	labels []label
	// requirements are sorted and unique.
	requirements []requirement
	// tolerations are in the order of the policies.
	tolerations []toleration
	// failures are in the order of the policies.
	failures []failure
}

// failure is a source that could not be read.
type failure struct {
	policy *policy
	err    *field.Error
}

// label is one required node label, and the policy that asks for it.
type label struct {
	key, value string
	policy     *policy
	// origin is the source, for a message.
	origin string
}

// requirement is one expression of required node affinity, and the policy that
// asks for it.
type requirement struct {
	policy *policy
	corev1.NodeSelectorRequirement
}

// toleration is one toleration, and the policy that asks for it.
type toleration struct {
	policy *policy
	corev1.Toleration
}

// collect gathers what the policies require of a DaemonSet.
func collect(policies []*policy, ds *appsv1.DaemonSet) required {
	var set required
	for _, p := range policies {
		before := set
		for _, s := range p.sources {
			s.collect(&set, p, ds)
		}
		if p.conditional {
			unanswered("its matchConditions were not evaluated").collect(&set, p, ds)
		}
		if len(set.failures) > len(before.failures) {
			// Half of what a policy requires may be worse than nothing of it.
			set.labels, set.requirements = before.labels, before.requirements
			continue
		}
		for _, t := range p.tolerations {
			set.tolerations = append(set.tolerations, toleration{p, t})
		}
	}
	slices.SortStableFunc(set.labels, compareLabels)
	set.labels = slices.CompactFunc(set.labels, func(a, b label) bool { return compareLabels(a, b) == 0 })
	slices.SortStableFunc(set.requirements, func(a, b requirement) int {
		return compareRequirements(a.NodeSelectorRequirement, b.NodeSelectorRequirement)
	})
	set.requirements = slices.CompactFunc(set.requirements, func(a, b requirement) bool {
		return sameRequirement(a.NodeSelectorRequirement, b.NodeSelectorRequirement)
	})
	return set
}

func compareLabels(a, b label) int {
	return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.value, b.value))
}

func compareRequirements(a, b corev1.NodeSelectorRequirement) int {
	return cmp.Or(
		strings.Compare(a.Key, b.Key),
		strings.Compare(string(a.Operator), string(b.Operator)),
		slices.Compare(a.Values, b.Values),
	)
}

// sameRequirement reports whether two requirements mean the same: values are a
// set, and berth's own are sorted, but a user's may be in any order.
func sameRequirement(a, b corev1.NodeSelectorRequirement) bool {
	return a.Key == b.Key && a.Operator == b.Operator &&
		slices.Equal(valueSet(a.Values), valueSet(b.Values))
}

func valueSet(values []string) []string {
	if len(values) < 2 {
		return values
	}
	return slices.Compact(slices.Sorted(slices.Values(values)))
}

// String says who requires what, for a message.
func (r required) String() string {
	var wishes []string
	for _, l := range r.labels {
		wishes = append(wishes, l.String())
	}
	for _, req := range r.requirements {
		wishes = append(wishes, req.String())
	}
	for _, t := range r.tolerations {
		wishes = append(wishes, fmt.Sprintf("policy %q requires the toleration %s", t.policy.name, formatToleration(t.Toleration)))
	}
	return strings.Join(wishes, ", ")
}

func (l label) String() string {
	return fmt.Sprintf("policy %q requires %s=%s", l.policy.name, l.key, l.value)
}

func (r requirement) String() string {
	return fmt.Sprintf("policy %q requires %s", r.policy.name, format(r.NodeSelectorRequirement))
}

// format writes an expression as people do: app NotIn [a, b].
func format(r corev1.NodeSelectorRequirement) string {
	if len(r.Values) == 0 {
		return fmt.Sprintf("%s %s", r.Key, r.Operator)
	}
	return fmt.Sprintf("%s %s [%s]", r.Key, r.Operator, strings.Join(r.Values, ", "))
}

// formatToleration writes a toleration as kubectl describe does: key=value:Effect.
func formatToleration(t corev1.Toleration) string {
	text := t.Key
	if t.Value != "" {
		text += "=" + t.Value
	}
	if t.Effect != "" {
		text += ":" + string(t.Effect)
	}
	return cmp.Or(text, "of every taint")
}
