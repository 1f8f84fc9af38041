package placement

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxAdded is how many expressions berth adds to one DaemonSet: one for each
// term and each that is required.
const maxAdded = 2000

// planRequirements puts required expressions into the required node affinity.
func planRequirements(h hands, wanted []requirement) step {
	s := step{after: h}
	if len(wanted) == 0 {
		return s
	}
	switch terms := len(h.template.Affinity.Terms); {
	case !h.template.Affinity.Required():
		return makeTerm(h, wanted)
	case terms == 0:
		// No term matches no node. Making one would turn that into some nodes.
		return rejectRequirements(h, wanted, field.Required(termsPath.field,
			"without a term it matches no node: add a term, or remove requiredDuringSchedulingIgnoredDuringExecution"))
	}
	return extendTerms(h, wanted)
}

// rejectRequirements leaves the template as it is.
func rejectRequirements(h hands, wanted []requirement, err *field.Error) step {
	s := step{after: h}
	by := wanted[0].policy
	for i := range wanted {
		r := &wanted[i]
		if r.policy.denies() && !by.denies() {
			by = r.policy
		}
		s.items = append(s.items, item{requirement: r, outcome: InConflict, policy: r.policy})
	}
	s.violations = []Violation{by.violation(err)}
	return s
}

// makeTerm makes the one term that a template without required node affinity
// gets, and with it the parents that are missing.
func makeTerm(h hands, wanted []requirement) step {
	s := step{after: h}
	var term corev1.NodeSelectorTerm
	var claimed []requirementClaim
	for rest := wanted; len(rest) > 0; {
		same := rest[:run(rest, sameWish)]
		rest = rest[len(same):]
		term.MatchExpressions = append(term.MatchExpressions, same[0].NodeSelectorRequirement)
		claimed = append(claimed, requirementClaim{NodeSelectorRequirement: same[0].NodeSelectorRequirement, policy: same[0].policy.name})
		for i := range same {
			s.items = append(s.items, item{requirement: &same[i], outcome: Added, policy: same[i].policy})
		}
	}
	s.after.claims.requirements = claimed
	s.after.claims.made = h.template.Affinity.Depth + 1
	s.after.template.Affinity.Depth = WithRequired
	s.after.template.Affinity.Terms = []corev1.NodeSelectorTerm{term}
	return s
}

// extendTerms adds requirements to every term. Terms are ORed: one left out, and
// the DaemonSet runs on more nodes than the policy allows.
func extendTerms(h hands, wanted []requirement) step {
	var distinct []requirement
	index := newRequirementIndex(len(wanted))
	for rest := wanted; len(rest) > 0; {
		same := rest[:run(rest, sameWish)]
		rest = rest[len(same):]
		index.put(same[0].NodeSelectorRequirement, len(distinct))
		distinct = append(distinct, same[0])
	}
	extension := extend(h.template.Affinity.Terms, distinct, &index)
	if extension.added > maxAdded {
		return rejectRequirements(h, wanted, field.Invalid(termsPath.field, len(h.template.Affinity.Terms), fmt.Sprintf(
			"the policies require %d expressions in each term, which makes more than %d in all: use fewer terms", len(distinct), maxAdded)))
	}
	s := step{after: h}
	before := newRequirementIndex(len(h.claims.requirements))
	for i, claim := range h.claims.requirements {
		before.put(claim.NodeSelectorRequirement, i)
	}
	claimed := slices.Clone(h.claims.requirements)
	for rest := wanted; len(rest) > 0; {
		same := rest[:run(rest, sameWish)]
		rest = rest[len(same):]
		w, _ := index.find(same[0].NodeSelectorRequirement)
		at, wasClaimed := before.find(same[0].NodeSelectorRequirement)
		outcome := Present
		switch added := extension.to[w]; {
		case len(added) > 0 && wasClaimed:
			outcome = Added
			claimed[at].except = filter(claimed[at].except, func(k int) bool { _, again := slices.BinarySearch(added, k); return !again })
		case len(added) > 0:
			outcome = Added
			claimed = append(claimed, requirementClaim{same[0].NodeSelectorRequirement, same[0].policy.name, extension.had[w]})
		}
		if wasClaimed && !slices.ContainsFunc(same, func(r requirement) bool { return r.policy.name == claimed[at].policy }) {
			claimed[at].policy = same[0].policy.name
		}
		for i := range same {
			s.items = append(s.items, item{requirement: &same[i], outcome: outcome, policy: same[i].policy})
		}
	}
	s.after.claims.requirements = claimed
	s.after.claims.normalize()
	s.after.template.Affinity.Terms = extension.terms
	return s
}

// extension is terms with what is required of each.
type extension struct {
	terms []corev1.NodeSelectorTerm
	added int
	// to has, for each requirement, the indices of terms that it was added to, and
	// had those of terms that had it.
	to, had [][]int
}

func extend(terms []corev1.NodeSelectorTerm, wanted []requirement, index *requirementIndex) extension {
	x := extension{terms: slices.Clone(terms), to: make([][]int, len(wanted)), had: make([][]int, len(wanted))}
	has := make([]int, len(wanted)) // the last term, counted from 1, that has it
	var added []corev1.NodeSelectorRequirement
	for k := range x.terms {
		term := &x.terms[k]
		added = added[:0]
		if len(term.MatchExpressions)+len(term.MatchFields) == 0 {
			continue // An empty term matches nothing; filled in, it would match something.
		}
		for _, expression := range term.MatchExpressions {
			// Values are a set: berth's own are sorted, but an author's may be in any order.
			expression.Values = valueSet(expression.Values)
			if w, found := index.find(expression); found && has[w] != k+1 {
				has[w] = k + 1
				x.had[w] = append(x.had[w], k)
			}
		}
		for w := range wanted {
			if has[w] == k+1 {
				continue
			}
			if x.added++; x.added > maxAdded {
				return x
			}
			added = append(added, wanted[w].NodeSelectorRequirement)
			x.to[w] = append(x.to[w], k)
		}
		if len(added) > 0 {
			term.MatchExpressions = slices.Concat(term.MatchExpressions, added)
		}
	}
	return x
}
