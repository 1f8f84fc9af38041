package placement

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// dropOrphans takes back what berth injected earlier and no policy may require
// any more. That widens the placement, so it is careful: what the user has
// changed since stays, and what a policy wants that does not act on this write,
// for its mode, its updatePolicy or its matchConditions. The record does not say
// whose a requirement or a toleration is, so while there is such a policy, none
// is an orphan.
func (d *draft) dropOrphans(selected, others []*policy) {
	if d.record.empty() {
		return
	}
	wanted := collect(slices.Concat(selected, others), d.daemonSet)
	if len(wanted.failures) > 0 {
		return
	}
	d.dropLabels(wanted.labels)
	if len(d.policies) == len(selected)+len(others) {
		d.dropRequirements(wanted.requirements)
		d.dropTolerations(wanted.tolerations)
	}
}

func (d *draft) dropLabels(wanted []label) {
	final := d.final.NodeSelector
	for _, key := range slices.Sorted(maps.Keys(d.record.NodeSelector)) {
		value := d.record.NodeSelector[key]
		if have, ok := final[key]; !ok || have != value || slices.ContainsFunc(wanted, func(l label) bool { return l.key == key }) {
			continue
		}
		final = maps.Clone(final)
		if before, overridden := d.record.Overridden[key]; overridden {
			d.add(nodeSelectorPath.key(key), before, required{})
			final[key] = before
		} else {
			d.remove(nodeSelectorPath.key(key))
			delete(final, key)
		}
		delete(d.record.NodeSelector, key)
		d.dropped = append(d.dropped, key+"="+value)
	}
	d.final.NodeSelector = final
}

// dropRequirements takes orphaned requirements out of every term. A term that
// has nothing else was berth's: left empty, it would match no node.
func (d *draft) dropRequirements(wanted []requirement) {
	orphans := slices.DeleteFunc(slices.Clone(d.record.NodeRequirements), func(r corev1.NodeSelectorRequirement) bool {
		return slices.ContainsFunc(wanted, func(w requirement) bool { return sameRequirement(w.NodeSelectorRequirement, r) })
	})
	d.record.NodeRequirements = slices.DeleteFunc(d.record.NodeRequirements, func(r corev1.NodeSelectorRequirement) bool { return contains(orphans, r) })
	d.record.replaceRequirements(orphans)
	orphans = append(orphans, d.undone(wanted)...)
	terms := requiredNodeAffinity(d.final.Affinity)
	if terms == nil || len(orphans) == 0 {
		return
	}
	kept := slices.Clone(terms.NodeSelectorTerms)
	// From the end, so that the indices in front stay what they are.
	for i := len(kept) - 1; i >= 0; i-- {
		expressions := kept[i].MatchExpressions
		var removals []path
		for j, expression := range slices.Backward(expressions) {
			if contains(orphans, expression) {
				d.dropped = append(d.dropped, format(expression))
				removals = append(removals, termsPath.index(i).child("matchExpressions").index(j))
				expressions = slices.Delete(slices.Clone(expressions), j, j+1)
			}
		}
		switch {
		case len(removals) == 0:
		case len(expressions)+len(kept[i].MatchFields) == 0:
			d.remove(termsPath.index(i))
			kept = slices.Delete(kept, i, i+1)
		default:
			for _, at := range removals {
				d.remove(at)
			}
			kept[i].MatchExpressions = expressions
		}
	}
	if len(kept) == 0 && len(terms.NodeSelectorTerms) > 0 {
		d.remove(requiredPath)
		d.setRequired(nil)
		return
	}
	d.setRequired(&corev1.NodeSelector{NodeSelectorTerms: kept})
}

// undone returns requirements that berth has replaced and kubectl rollout undo
// may have brought back, where another is wanted of the same key.
func (d *draft) undone(wanted []requirement) []corev1.NodeSelectorRequirement {
	return slices.DeleteFunc(slices.Clone(d.record.ReplacedRequirements), func(r corev1.NodeSelectorRequirement) bool {
		sameKey := slices.ContainsFunc(wanted, func(w requirement) bool { return w.Key == r.Key })
		same := slices.ContainsFunc(wanted, func(w requirement) bool { return sameRequirement(w.NodeSelectorRequirement, r) })
		return !sameKey || same
	})
}

// setRequired replaces the required node affinity of the final pod spec.
func (d *draft) setRequired(terms *corev1.NodeSelector) {
	affinity, nodeAffinity := *d.final.Affinity, *d.final.Affinity.NodeAffinity
	nodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = terms
	affinity.NodeAffinity = &nodeAffinity
	d.final.Affinity = &affinity
}

func (d *draft) dropTolerations(wanted []toleration) {
	orphans := slices.DeleteFunc(slices.Clone(d.record.Tolerations), func(t corev1.Toleration) bool {
		return slices.ContainsFunc(wanted, func(w toleration) bool { return sameToleration(w.Toleration, t) })
	})
	if len(orphans) == 0 {
		return
	}
	isOrphan := func(t corev1.Toleration) bool {
		return slices.ContainsFunc(orphans, func(o corev1.Toleration) bool { return sameToleration(o, t) })
	}
	d.record.Tolerations = slices.DeleteFunc(d.record.Tolerations, isOrphan)
	for i, toleration := range slices.Backward(d.final.Tolerations) {
		if isOrphan(toleration) {
			d.dropped = append(d.dropped, formatToleration(toleration))
			d.remove(tolerationsPath.index(i))
			d.final.Tolerations = slices.Delete(slices.Clone(d.final.Tolerations), i, i+1)
		}
	}
}
