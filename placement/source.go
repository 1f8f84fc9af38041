package placement

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/api/v1alpha1"
)

// source is one place from which a policy takes what it requires.
type source interface {
	// collect adds what the source requires of the DaemonSet to the set.
	collect(set *required, by *policy, object *Object)
	// asks says whether the source has anything to say of the DaemonSet at all.
	asks(object *Object) bool
}

// literal is required labels that do not depend on the DaemonSet.
type literal struct {
	labels map[string]string
	origin string
}

func (l literal) collect(set *required, by *policy, _ *Object) {
	if !set.ask(by, len(l.labels)) {
		return
	}
	for key, value := range l.labels {
		set.labels = append(set.labels, label{key: key, value: value, policy: by, origin: l.origin})
	}
}

func (l literal) asks(*Object) bool { return len(l.labels) > 0 }

// expressions is a policy's own nodeRequirements.
type expressions []corev1.NodeSelectorRequirement

func (e expressions) collect(set *required, by *policy, _ *Object) {
	if !set.ask(by, len(e)) {
		return
	}
	for _, expression := range e {
		set.requirements = append(set.requirements, requirement{by, "its nodeRequirements", expression})
	}
}

func (e expressions) asks(*Object) bool { return len(e) > 0 }

// workloadSelector is a DaemonSet's own spec.selector.
type workloadSelector struct {
	keyPrefixes []string
	exceptKeys  []string
}

func newWorkloadSelector(from *v1alpha1.WorkloadSelectorSource) workloadSelector {
	if from == nil {
		return workloadSelector{}
	}
	return workloadSelector{slices.Clone(from.KeyPrefixes), slices.Clone(from.ExceptKeys)}
}

func (w workloadSelector) collect(set *required, by *policy, object *Object) {
	selector := object.Selector
	if selector == nil || !set.ask(by, len(selector.MatchLabels)+len(selector.MatchExpressions)) {
		return
	}
	for key, value := range selector.MatchLabels {
		if w.counts(key) {
			set.labels = append(set.labels, label{key: key, value: value, policy: by, origin: originSelector})
		}
	}
	for _, expression := range selector.MatchExpressions {
		if w.counts(expression.Key) {
			// The four operators of a label selector have the same names and meanings in node affinity.
			set.requirements = append(set.requirements, requirement{by, originSelector, corev1.NodeSelectorRequirement{
				Key:      expression.Key,
				Operator: corev1.NodeSelectorOperator(expression.Operator),
				Values:   slices.Compact(slices.Sorted(slices.Values(expression.Values))),
			}})
		}
	}
}

const originSelector = "the DaemonSet's spec.selector"

// asks is true also where there is no selector: that is what is wrong then.
func (w workloadSelector) asks(*Object) bool { return true }

func (w workloadSelector) counts(key string) bool {
	if slices.Contains(w.exceptKeys, key) {
		return false
	}
	return len(w.keyPrefixes) == 0 ||
		slices.ContainsFunc(w.keyPrefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}
