package placement

import (
	"encoding/json"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// InjectedAnnotation is the annotation on a DaemonSet's metadata, never on its
// template, that records what berth wrote into the template. Without it a value
// that berth injected under an earlier version of a policy would look like the
// user's own. Its value is canonical JSON.
const InjectedAnnotation = "berth.dev/injected"

// record is the value of InjectedAnnotation.
type record struct {
	NodeSelector     map[string]string                `json:"nodeSelector,omitempty"`
	NodeRequirements []corev1.NodeSelectorRequirement `json:"nodeRequirements,omitempty"`
	Tolerations      []corev1.Toleration              `json:"tolerations,omitempty"`
	// Replaced is values that berth injected once and has replaced since, newest
	// last: kubectl rollout undo may bring them back, and they give way again.
	Replaced map[string][]string `json:"replaced,omitempty"`
	// ReplacedRequirements is the same for requirements.
	ReplacedRequirements []corev1.NodeSelectorRequirement `json:"replacedRequirements,omitempty"`
	// Overridden is the user's own values that berth's took the place of.
	Overridden map[string]string `json:"overridden,omitempty"`
}

// maxReplaced is how many values Replaced keeps of a key: as many as a DaemonSet
// keeps revisions by default (spec.revisionHistoryLimit).
const maxReplaced = 10

// readRecord reads what berth injected earlier. An update that has no record has
// lost it, as an operator's PUT does: the stored one counts. A value that berth
// cannot have written is as good as none: everything is the user's then.
func readRecord(ds, old *appsv1.DaemonSet) record {
	value, kept := ds.Annotations[InjectedAnnotation]
	if !kept && old != nil {
		value = old.Annotations[InjectedAnnotation]
	}
	var r record
	if value != "" {
		if err := json.Unmarshal([]byte(value), &r); err != nil {
			return record{}
		}
	}
	return r
}

// empty says whether nothing of berth's is in the template.
func (r *record) empty() bool {
	return len(r.NodeSelector)+len(r.NodeRequirements)+len(r.Tolerations) == 0
}

// has says whether a label of the nodeSelector is berth's own.
func (r *record) has(key, value string) bool {
	injected, ok := r.NodeSelector[key]
	return ok && injected == value
}

// givesWay says whether a label is berth's own or was, so that another that is
// required may take its place.
func (r *record) givesWay(key, value string) bool {
	return r.has(key, value) || slices.Contains(r.Replaced[key], value)
}

// add records a label that berth injects into the nodeSelector.
func (r *record) add(l label, nodeSelector map[string]string) {
	before, present := nodeSelector[l.key]
	switch {
	case r.has(l.key, before):
		if r.Replaced == nil {
			r.Replaced = map[string][]string{}
		}
		r.Replaced[l.key] = newest(r.Replaced[l.key], before)
	case present && !r.givesWay(l.key, before):
		if r.Overridden == nil {
			r.Overridden = map[string]string{}
		}
		r.Overridden[l.key] = before
	}
	if r.NodeSelector == nil {
		r.NodeSelector = map[string]string{}
	}
	r.NodeSelector[l.key] = l.value
}

// newest puts a value at the end of a list of so many at the most.
func newest(values []string, value string) []string {
	values = slices.DeleteFunc(values, func(v string) bool { return v == value })
	values = append(values, value)
	return values[max(0, len(values)-maxReplaced):]
}

// replaceRequirements records that berth takes requirements of its own back.
func (r *record) replaceRequirements(dropped []corev1.NodeSelectorRequirement) {
	for _, d := range dropped {
		if !contains(r.ReplacedRequirements, d) {
			r.ReplacedRequirements = append(r.ReplacedRequirements, d)
		}
	}
	r.ReplacedRequirements = r.ReplacedRequirements[max(0, len(r.ReplacedRequirements)-maxReplaced):]
}

// encode returns the annotation's value, without what the template no longer
// has: that is the user's. It is empty when nothing of berth's is left.
func (r *record) encode(final *corev1.PodSpec) string {
	maps.DeleteFunc(r.NodeSelector, func(key, value string) bool {
		have, ok := final.NodeSelector[key]
		return !ok || have != value
	})
	maps.DeleteFunc(r.Overridden, func(key, _ string) bool { _, ok := r.NodeSelector[key]; return !ok })
	r.NodeRequirements = slices.DeleteFunc(r.NodeRequirements, func(have corev1.NodeSelectorRequirement) bool {
		return !anyTermHas(final.Affinity, have)
	})
	r.Tolerations = slices.DeleteFunc(r.Tolerations, func(have corev1.Toleration) bool {
		return !slices.ContainsFunc(final.Tolerations, func(t corev1.Toleration) bool { return sameToleration(t, have) })
	})
	if r.empty() {
		return ""
	}
	slices.SortFunc(r.NodeRequirements, compareRequirements)
	if len(r.NodeRequirements)+len(r.Tolerations)+len(r.Replaced)+len(r.ReplacedRequirements)+len(r.Overridden) == 0 {
		return string(append(appendValue([]byte(`{"nodeSelector":`), r.NodeSelector), '}'))
	}
	encoded, _ := json.Marshal(r) // Strings all the way down: cannot fail.
	return string(encoded)
}

func anyTermHas(affinity *corev1.Affinity, wanted corev1.NodeSelectorRequirement) bool {
	terms := requiredNodeAffinity(affinity)
	return terms != nil && slices.ContainsFunc(terms.NodeSelectorTerms, func(t corev1.NodeSelectorTerm) bool {
		return contains(t.MatchExpressions, wanted)
	})
}
