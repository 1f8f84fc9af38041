package placement

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// hands is a template with what of it berth wrote: the rest is its author's.
type hands struct {
	template Template
	claims   claims
}

// authored returns the template as its author wrote it.
func (h *hands) authored() Template {
	if h.claims.empty() {
		return h.template
	}
	authored, _ := h.without(&h.claims)
	return authored.template
}

// without takes some of the claims back: the author's own values return, and
// what berth made is gone where nothing is left in it. It says what it took.
func (h *hands) without(taken *claims) (rest hands, removed []removal) {
	rest = *h
	removed = rest.removeLabels(taken.labels)
	removed = append(removed, rest.removeRequirements(taken.requirements)...)
	return rest, append(removed, rest.removeTolerations(taken.tolerations)...)
}

// removal is a claim that was taken back, for a message.
type removal struct {
	key  string // of a label
	text string
}

func (h *hands) removeLabels(taken []labelClaim) []removal {
	if len(taken) == 0 {
		return nil
	}
	var removed []removal
	selector := maps.Clone(h.template.NodeSelector)
	gone := make(map[string]bool, len(taken))
	for _, claim := range taken {
		if claim.hasOverridden {
			selector[claim.key] = claim.overridden
		} else {
			delete(selector, claim.key)
		}
		gone[claim.key] = true
		removed = append(removed, removal{claim.key, claim.key + "=" + claim.value})
	}
	h.template.NodeSelector = selector
	h.claims.labels = filter(h.claims.labels, func(l labelClaim) bool { return !gone[l.key] })
	return removed
}

func (h *hands) removeTolerations(taken []tolerationClaim) []removal {
	if len(taken) == 0 {
		return nil
	}
	var removed []removal
	gone := make(map[tolerationKey]bool, len(taken))
	left := make(map[tolerationKey]bool, len(taken))
	for _, claim := range taken {
		key := keyOfToleration(claim.Toleration)
		gone[key], left[key] = true, true
		removed = append(removed, removal{text: formatToleration(claim.Toleration)})
	}
	// The last of equal ones, for berth appends.
	tolerations := slices.Clone(h.template.Tolerations)
	end := len(tolerations)
	for _, toleration := range slices.Backward(h.template.Tolerations) {
		if key := keyOfToleration(toleration); left[key] {
			left[key] = false
			continue
		}
		end--
		tolerations[end] = toleration
	}
	h.template.Tolerations = tolerations[end:]
	h.claims.tolerations = filter(h.claims.tolerations, func(t tolerationClaim) bool { return !gone[keyOfToleration(t.Toleration)] })
	return removed
}

// removeRequirements takes expressions out of the terms that berth put them
// into. A term that has nothing else was berth's: left empty, it would match no
// node.
func (h *hands) removeRequirements(taken []requirementClaim) []removal {
	if len(taken) == 0 {
		return nil
	}
	var removed []removal
	index := newRequirementIndex(len(taken))
	for i := range taken {
		index.put(taken[i].NodeSelectorRequirement, i)
		removed = append(removed, removal{text: format(taken[i].NodeSelectorRequirement)})
	}
	terms := make([]corev1.NodeSelectorTerm, 0, len(h.template.Affinity.Terms))
	var dropped []int
	for k, term := range h.template.Affinity.Terms {
		expressions := removeLast(term.MatchExpressions, &index, func(i int) bool { return !taken[i].excepts(k) })
		if len(expressions)+len(term.MatchFields) == 0 && len(term.MatchExpressions) > 0 {
			dropped = append(dropped, k)
			continue
		}
		term.MatchExpressions = expressions
		terms = append(terms, term)
	}
	h.claims.requirements = shifted(filter(h.claims.requirements, func(r requirementClaim) bool {
		_, gone := index.find(r.NodeSelectorRequirement)
		return !gone
	}), dropped)
	h.template.Affinity.Terms = terms
	if len(terms) == 0 && len(dropped) > 0 {
		h.template.Affinity = h.template.Affinity.withoutRequired(h.claims.made)
	}
	if len(h.claims.requirements) == 0 {
		h.claims.made = WithoutAffinity
	}
	return removed
}

// removeLast returns the expressions without the last one of each that the
// index has and that is berth's.
func removeLast(from []corev1.NodeSelectorRequirement, index *requirementIndex, isBerths func(int) bool) []corev1.NodeSelectorRequirement {
	var gone map[int]bool
	for i, expression := range slices.Backward(from) {
		claim, found := index.find(expression)
		if !found || gone[claim] || !isBerths(claim) {
			continue
		}
		if gone == nil {
			gone = map[int]bool{}
			from = slices.Clone(from)
		}
		gone[claim] = true
		from = slices.Delete(from, i, i+1)
	}
	return from
}

// shifted returns the claims with the indices of terms as they are when some
// terms are dropped.
func shifted(requirements []requirementClaim, dropped []int) []requirementClaim {
	if len(dropped) == 0 {
		return requirements
	}
	next := slices.Clone(requirements)
	for i := range next {
		var except []int
		for _, k := range next[i].except {
			before, isDropped := slices.BinarySearch(dropped, k)
			if !isDropped {
				except = append(except, k-before)
			}
		}
		next[i].except = except
	}
	return next
}

// withoutRequired drops required node affinity, and around it what berth made
// and nothing else is in.
func (a Affinity) withoutRequired(made AffinityDepth) Affinity {
	a.Terms, a.Depth = nil, WithNodeAffinity
	if made == WithAffinity || made == WithNodeAffinity {
		if a.SharedNodeAffinity {
			return a
		}
		a.Depth = WithAffinity
	}
	if made == WithAffinity && !a.SharedAffinity {
		a.Depth = WithoutAffinity
	}
	return a
}

// filter returns a new list of those to keep.
func filter[T any](list []T, keep func(T) bool) []T {
	var kept []T
	for _, element := range list {
		if keep(element) {
			kept = append(kept, element)
		}
	}
	return kept
}
