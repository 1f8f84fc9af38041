package placement

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// planTolerations appends the tolerations that the template does not have in
// effect already.
func planTolerations(h hands, wanted []toleration) step {
	s := step{after: h}
	if len(wanted) == 0 {
		return s
	}
	existing := newTolerationSet(h.template.Tolerations, keysOf(wanted))
	var added []corev1.Toleration
	var claimed []tolerationClaim
	covered := tolerationSet{}
	for i := range wanted {
		t := &wanted[i]
		outcome := Added
		switch {
		case existing.covers(t.Toleration):
			outcome = Present
		case !covered.covers(t.Toleration):
			covered.put(t.Toleration)
			added = append(added, t.Toleration)
			claimed = append(claimed, tolerationClaim{t.Toleration, t.policy.name})
		}
		s.items = append(s.items, item{toleration: t, outcome: outcome, policy: t.policy})
	}
	if len(added) > 0 {
		s.after.template.Tolerations = slices.Concat(h.template.Tolerations, added)
	}
	s.after.claims.tolerations = reassigned(slices.Concat(h.claims.tolerations, claimed), wanted)
	s.after.claims.normalize()
	return s
}

// reassigned gives each claim to a policy that requires it, where the one that
// it was made for does not any more.
func reassigned(claimed []tolerationClaim, wanted []toleration) []tolerationClaim {
	if len(claimed) == 0 || len(wanted) == 0 {
		return claimed
	}
	by := make(map[tolerationKey][]string, len(wanted))
	for _, t := range wanted {
		key := keyOfToleration(t.Toleration)
		by[key] = append(by[key], t.policy.name)
	}
	next := slices.Clone(claimed)
	for i := range next {
		if names := by[keyOfToleration(next[i].Toleration)]; len(names) > 0 && !slices.Contains(names, next[i].policy) {
			next[i].policy = names[0]
		}
	}
	return next
}

// tolerationSet is tolerations of which a few look-ups tell whether any does what
// another one does: a template may have thousands, and policies want as many.
type tolerationSet map[tolerationKey]bool

// newTolerationSet has those of the tolerations that can cover one of the keys.
func newTolerationSet(tolerations []corev1.Toleration, keys map[string]bool) tolerationSet {
	set := tolerationSet{}
	for _, t := range tolerations {
		if t.Key == "" || keys[t.Key] {
			set.put(t)
		}
	}
	return set
}

func keysOf(wanted []toleration) map[string]bool {
	keys := make(map[string]bool, len(wanted))
	for i := range wanted {
		keys[wanted[i].Key] = true
	}
	return keys
}

func (s tolerationSet) put(t corev1.Toleration) {
	t.Operator = operator(t)
	if t.Operator == corev1.TolerationOpExists {
		t.Value = ""
	}
	s[keyOfToleration(t)] = true
}

// covers says whether one of the set tolerates every taint that wanted tolerates,
// for as long: with the same value or with any, for its key or for every one, of
// its effect or of every one, and for as long or for ever.
func (s tolerationSet) covers(wanted corev1.Toleration) bool {
	if len(s) == 0 {
		return false
	}
	same := keyOfToleration(wanted)
	same.Operator = operator(wanted)
	ofKey, ofAny := same, same
	ofKey.Operator, ofKey.Value = corev1.TolerationOpExists, ""
	ofAny.Operator, ofAny.Value, ofAny.Key = corev1.TolerationOpExists, "", ""
	for _, have := range []tolerationKey{same, ofKey, ofAny} {
		for _, effect := range []corev1.TaintEffect{wanted.Effect, ""} {
			have.Effect = effect
			lasting := tolerationKey{Toleration: have.Toleration}
			if s[have] || s[lasting] {
				return true
			}
		}
	}
	return false
}

// operator is the toleration's operator; none means Equal.
func operator(t corev1.Toleration) corev1.TolerationOperator {
	return cmp.Or(t.Operator, corev1.TolerationOpEqual)
}
