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
	collect(set *required, by *policy, object *readObject)
	// asks says whether the source has anything to say of the DaemonSet at all.
	asks(object *Object) bool
}

// literal is required labels that do not depend on the DaemonSet.
type literal struct {
	labels []nodeLabel // sorted
	origin string
}

func (l literal) collect(set *required, by *policy, _ *readObject) {
	if !set.ask(by, len(l.labels)) {
		return
	}
	set.labels = slices.Grow(set.labels, len(l.labels))
	for _, own := range l.labels {
		set.labels = append(set.labels, label{key: own.key, value: own.value, policy: by, origin: l.origin})
	}
}

func (l literal) asks(*Object) bool { return len(l.labels) > 0 }

// expressions is a policy's own nodeRequirements.
type expressions []corev1.NodeSelectorRequirement

func (e expressions) collect(set *required, by *policy, _ *readObject) {
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

func (w workloadSelector) collect(set *required, by *policy, object *readObject) {
	selector := object.Selector
	if selector == nil || !set.ask(by, len(selector.MatchLabels)+len(selector.MatchExpressions)) {
		return
	}
	read := object.selectorRead()
	set.labels = slices.Grow(set.labels, len(read.labels))
	for _, own := range read.labels {
		if w.counts(own.key) {
			set.labels = append(set.labels, label{key: own.key, value: own.value, policy: by, origin: originSelector})
		}
	}
	for _, expression := range read.expressions {
		if w.counts(expression.Key) {
			set.requirements = append(set.requirements, requirement{by, originSelector, expression})
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
