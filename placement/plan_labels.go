package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// planLabels puts required labels into the nodeSelector, but for those that contradict
// what is awaited; nil: nothing is.
func planLabels(h hands, wanted []label, awaited *required) step {
	s := step{after: h}
	if len(wanted) == 0 {
		return s
	}
	s.items = make([]item, 0, len(wanted))
	existing := h.template.NodeSelector
	var added []labelClaim
	for rest := wanted; len(rest) > 0; {
		same := rest[:run(rest, sameKey)]
		rest = rest[len(same):]
		have, present := existing[same[0].key]
		claim := h.claims.label(same[0].key)
		d := decideLabel(same, claim, have, present)
		if awaited != nil {
			d = d.unless(same, awaited.labelsOf(same[0].key), claim)
		}
		for i := range same {
			s.items = append(s.items, item{label: &same[i], outcome: d.outcome, other: d.other, policy: same[i].policy})
		}
		if d.violation != nil {
			s.violations = append(s.violations, *d.violation)
		}
		if d.writes {
			added = append(added, d.claim)
		}
	}
	if len(added) == 0 {
		return s
	}
	selector := make(map[string]string, len(existing)+len(added))
	maps.Copy(selector, existing)
	for _, claim := range added {
		selector[claim.key] = claim.value
	}
	s.after.template.NodeSelector = selector
	if len(h.claims.labels) == 0 {
		s.after.claims.labels = added // They are sorted, as what is wanted is.
		return s
	}
	written := claims{labels: added}
	rest := h.claims.minus(&written)
	s.after.claims.labels = slices.Concat(rest.labels, added)
	s.after.claims.normalize()
	return s
}

// labelDecision is what becomes of one key.
type labelDecision struct {
	outcome   ItemOutcome
	other     string
	writes    bool // the claim is what is written
	claim     labelClaim
	violation *Violation
}

// decideLabel decides on one key, for which policies have wishes, sorted by
// value. The nodeSelector may have a value already, which berth claims or not.
func decideLabel(wishes []label, claim *labelClaim, have string, present bool) labelDecision {
	first := wishes[0]
	if wishes[len(wishes)-1].value != first.value {
		v := conflictBetween(wishes, nil)
		return labelDecision{outcome: InConflict, violation: &v}
	}
	mine := labelClaim{policy: first.policy.name, key: first.key, value: first.value}
	switch {
	case !present:
		return labelDecision{outcome: Added, writes: true, claim: mine}
	case have == first.value && claim == nil:
		return labelDecision{outcome: Present}
	case have == first.value:
		if slices.ContainsFunc(wishes, func(l label) bool { return l.policy.name == claim.policy }) {
			return labelDecision{outcome: Present}
		}
		mine.overridden, mine.hasOverridden = claim.overridden, claim.hasOverridden
		return labelDecision{outcome: Present, writes: true, claim: mine}
	case claim != nil:
		v := conflictWithClaim(wishes, claim)
		return labelDecision{outcome: InConflict, other: have, violation: &v}
	}
	return decideConflict(wishes, mine, have)
}

// unless turns the decision into a conflict where another value would be written than
// policies that wait require, be it in place of an earlier one of berth's own.
func (d labelDecision) unless(wishes, awaited []label, claim *labelClaim) labelDecision {
	writes := d.writes && d.outcome != Present ||
		d.outcome == InConflict && claim != nil && !slices.ContainsFunc(awaited, func(l label) bool { return l.policy.name == claim.policy })
	if !writes || !contradicts(wishes, awaited) {
		return d
	}
	v := conflictBetween(wishes, awaited)
	return labelDecision{outcome: InConflict, other: d.other, violation: &v}
}

// decideConflict decides between what policies want and another value of the
// author's own. The most resolute of the policies counts.
func decideConflict(wishes []label, mine labelClaim, have string) labelDecision {
	by := map[v1alpha1.ConflictPolicy]*policy{}
	for _, l := range wishes {
		if earlier := by[l.policy.conflictPolicy]; earlier == nil || l.policy.denies() && !earlier.denies() {
			by[l.policy.conflictPolicy] = l.policy
		}
	}
	rejecting := by[v1alpha1.ConflictReject]
	switch prefers := by[v1alpha1.ConflictPreferPolicy]; {
	case prefers != nil && !isLabel(mine.key, have):
		if rejecting == nil || !rejecting.denies() {
			rejecting = prefers // What could not be given back is not taken.
		}
	case prefers != nil:
		mine.policy = prefers.name
		mine.overridden, mine.hasOverridden = have, true
		return labelDecision{outcome: Replaced, other: have, writes: true, claim: mine}
	}
	if rejecting == nil {
		return labelDecision{outcome: Kept, other: have}
	}
	v := rejecting.violation(field.Invalid(nodeSelectorPath.key(mine.key).field, have,
		fmt.Sprintf("policy %q requires %q: remove the key or set it to %q", rejecting.name, mine.value, mine.value)))
	return labelDecision{outcome: InConflict, other: have, violation: &v}
}

// conflictBetween is that policies want different values of one key: some that act on
// this write, whose violation it is, and others that wait.
func conflictBetween(wanted, awaited []label) Violation {
	names := make(map[string]bool, len(wanted))
	by := wanted[0].policy
	for _, l := range wanted {
		names[l.policy.name] = true
		if l.policy.denies() && !by.denies() {
			by = l.policy
		}
	}
	all := wanted
	if len(awaited) > 0 {
		all = merged(wanted, awaited, compareLabels)
	}
	var wishes []string
	for _, l := range all[:min(len(all), mostOthers+1)] {
		wishes = append(wishes, fmt.Sprintf("%s (from %s)", l, l.origin))
	}
	if more := len(all) - len(wishes); more > 0 {
		wishes = append(wishes, fmt.Sprintf("and %d more policies require other values", more))
	}
	v := by.violation(field.Forbidden(nodeSelectorPath.key(wanted[0].key).field,
		strings.Join(wishes, ", ")+": no node has both; ask a cluster admin to change one of them"))
	v.alsoOf = names
	return v
}

// conflictWithClaim is that policies want another value than the one that berth
// wrote for a policy which does not act on this write.
func conflictWithClaim(wanted []label, claim *labelClaim) Violation {
	by := wanted[0].policy
	if i := slices.IndexFunc(wanted, func(l label) bool { return l.policy.denies() }); i >= 0 {
		by = wanted[i].policy
	}
	return by.violation(field.Forbidden(nodeSelectorPath.key(claim.key).field,
		fmt.Sprintf("%s, policy %q has required %s=%s: no node has both; ask a cluster admin to change one of them",
			wanted[0], shown(claim.policy), shown(claim.key), shown(claim.value))))
}
