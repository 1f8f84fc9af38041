package placement

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// requireRequirements puts requirements into the required node affinity.
func (d *draft) requireRequirements(wanted []requirement) {
	if len(wanted) == 0 {
		return
	}
	terms := requiredNodeAffinity(d.final.Affinity)
	switch {
	case terms == nil:
		d.makeTerm(wanted)
	case len(terms.NodeSelectorTerms) == 0:
		// No term matches no node. Making one would turn that into some nodes.
		d.violateAll(field.Required(termsPath.field,
			"without a term it matches no node: add a term, or remove requiredDuringSchedulingIgnoredDuringExecution"))
	default:
		d.extendTerms(terms, wanted)
	}
}

// makeTerm makes the one term that a template without required node affinity
// gets, and with it the parents that are missing.
func (d *draft) makeTerm(wanted []requirement) {
	term := corev1.NodeSelectorTerm{MatchExpressions: withoutPolicies(wanted)}
	terms := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}}
	nodeAffinity := corev1.NodeAffinity{}
	affinity := corev1.Affinity{}
	var at path
	var value any
	switch existing := d.final.Affinity; {
	case existing == nil:
		at, value = affinityPath, &affinity
	case existing.NodeAffinity == nil:
		affinity = *existing
		at, value = nodeAffinityPath, &nodeAffinity
	default:
		affinity, nodeAffinity = *existing, *existing.NodeAffinity
		at, value = requiredPath, terms
	}
	nodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = terms
	affinity.NodeAffinity = &nodeAffinity
	d.final.Affinity = &affinity
	d.record.NodeRequirements = append(d.record.NodeRequirements, d.unrecorded(wanted)...)
	d.add(at, value, required{requirements: wanted})
}

// extendTerms adds requirements to every term. Terms are ORed: one left out, and
// the DaemonSet runs on more nodes than the policy allows.
func (d *draft) extendTerms(terms *corev1.NodeSelector, wanted []requirement) {
	extended := slices.Clone(terms.NodeSelectorTerms)
	var added []requirement
	for i := range extended {
		term := &extended[i]
		if len(term.MatchExpressions)+len(term.MatchFields) == 0 {
			continue // An empty term matches nothing; filled in, it would match something.
		}
		var missing []requirement
		for _, r := range wanted {
			if !contains(term.MatchExpressions, r.NodeSelectorRequirement) {
				missing = append(missing, r)
			}
		}
		if len(missing) == 0 {
			continue
		}
		at := termsPath.index(i).child("matchExpressions")
		if len(term.MatchExpressions) == 0 {
			d.add(at, withoutPolicies(missing), required{requirements: missing})
		} else {
			for _, r := range missing {
				d.add(at.end(), r.NodeSelectorRequirement, required{requirements: []requirement{r}})
			}
		}
		term.MatchExpressions = slices.Concat(term.MatchExpressions, withoutPolicies(missing))
		added = append(added, missing...)
	}
	if len(added) == 0 {
		return
	}
	d.record.NodeRequirements = append(d.record.NodeRequirements, d.unrecorded(added)...)
	d.setRequired(&corev1.NodeSelector{NodeSelectorTerms: extended})
}

// unrecorded returns each of the requirements once that the record does not have.
func (d *draft) unrecorded(from []requirement) []corev1.NodeSelectorRequirement {
	var fresh []corev1.NodeSelectorRequirement
	for _, r := range from {
		if !contains(d.record.NodeRequirements, r.NodeSelectorRequirement) && !contains(fresh, r.NodeSelectorRequirement) {
			fresh = append(fresh, r.NodeSelectorRequirement)
		}
	}
	return fresh
}

func withoutPolicies(from []requirement) []corev1.NodeSelectorRequirement {
	expressions := make([]corev1.NodeSelectorRequirement, 0, len(from))
	for _, r := range from {
		expressions = append(expressions, r.NodeSelectorRequirement)
	}
	return expressions
}

func contains(list []corev1.NodeSelectorRequirement, wanted corev1.NodeSelectorRequirement) bool {
	return slices.ContainsFunc(list, func(have corev1.NodeSelectorRequirement) bool { return sameRequirement(have, wanted) })
}
