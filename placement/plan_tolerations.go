package placement

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// planTolerations appends the tolerations that the template does not have in
// effect already.
func planTolerations(h hands, wanted []toleration) step {
	s := step{after: h}
	if len(wanted) == 0 {
		return s
	}
	existing := h.template.Tolerations
	for i := range wanted {
		t := &wanted[i]
		covered := func(have corev1.Toleration) bool { return covers(have, t.Toleration) }
		outcome := Added
		switch {
		case slices.ContainsFunc(existing, covered):
			outcome = Present
		case !slices.ContainsFunc(s.after.template.Tolerations[len(existing):], covered):
			s.after.template.Tolerations = append(slices.Clip(s.after.template.Tolerations), t.Toleration)
			s.after.claims.tolerations = append(slices.Clip(s.after.claims.tolerations), tolerationClaim{t.Toleration, t.policy.name})
		}
		s.items = append(s.items, item{toleration: t, outcome: outcome, policy: t.policy})
	}
	s.after.claims.tolerations = reassigned(s.after.claims.tolerations, wanted)
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

// covers says whether have tolerates every taint that wanted tolerates, for as
// long.
func covers(have, wanted corev1.Toleration) bool {
	if have.Effect != "" && have.Effect != wanted.Effect {
		return false
	}
	if have.TolerationSeconds != nil && !equality.Semantic.DeepEqual(have.TolerationSeconds, wanted.TolerationSeconds) {
		return false
	}
	if have.Operator == corev1.TolerationOpExists {
		return have.Key == "" || have.Key == wanted.Key
	}
	return have.Key == wanted.Key && have.Value == wanted.Value && operator(have) == operator(wanted)
}

// operator is the toleration's operator; none means Equal.
func operator(t corev1.Toleration) corev1.TolerationOperator {
	return cmp.Or(t.Operator, corev1.TolerationOpEqual)
}
