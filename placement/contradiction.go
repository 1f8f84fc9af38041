package placement

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// findContradiction returns an error when no node, whatever its labels, can
// satisfy the final template: the required labels and requirements against each
// other, and against every term of the node affinity. It names the part that is
// the user's, and for what is not, the policy and its source. The culprit is the
// expression that contradicts what is before it. Lists of thousands of values, of which
// each has to be held against each, are let pass: they match no node, or some.
func findContradiction(final *hands, wanted *required) (culprit corev1.NodeSelectorRequirement, err *field.Error) {
	left := maxCompared
	base := domains{selector: final.template.NodeSelector, left: &left}
	for i := range wanted.requirements {
		if r := &wanted.requirements[i]; !base.narrow(r.NodeSelectorRequirement) {
			return r.NodeSelectorRequirement, final.contradictedBy(wanted, r)
		}
	}
	for i, term := range final.template.Affinity.Terms {
		if len(term.MatchExpressions)+len(term.MatchFields) == 0 {
			continue
		}
		at := base.contradictedBy(term.MatchExpressions)
		if at < 0 {
			return corev1.NodeSelectorRequirement{}, nil // Terms are ORed: this one can match.
		}
		if err == nil {
			culprit = term.MatchExpressions[at]
			err = field.Invalid(termsPath.index(i).child("matchExpressions").index(at).field, format(culprit),
				"remove this expression, which contradicts "+final.describe(culprit.Key, wanted))
		}
	}
	return culprit, err
}

// contradictedBy is the error that what a policy requires contradicts the label of
// the same key, or what another policy requires of it.
func (h *hands) contradictedBy(wanted *required, r *requirement) *field.Error {
	detail := fmt.Sprintf("policy %q requires %s (from %s)", r.policy.name, format(r.NodeSelectorRequirement), r.origin)
	if have, ok := h.template.NodeSelector[r.Key]; ok && wanted.label(r.Key) == nil && h.claims.label(r.Key) == nil {
		return field.Invalid(nodeSelectorPath.key(r.Key).field, have, "remove it, or change it: "+detail+", and no node can match both")
	}
	return field.Forbidden(termsPath.field, "ask a cluster admin to change one of them: "+detail+", which contradicts "+h.describe(r.Key, wanted))
}

// describe says, for a message, what else is required of a key, and by whom.
func (h *hands) describe(key string, wanted *required) string {
	if value, ok := h.template.NodeSelector[key]; ok {
		text := shown(key) + "=" + shown(value)
		if by := wanted.label(key); by != nil {
			return fmt.Sprintf("%s: no node can match both; policy %q requires it (from %s)", text, by.policy.name, by.origin)
		}
		if claim := h.claims.label(key); claim != nil {
			return fmt.Sprintf("%s: no node can match both; policy %q has required it", text, shown(claim.policy))
		}
		return text + " of spec.template.spec.nodeSelector: no node can match both"
	}
	for i := range wanted.requirements {
		if r := &wanted.requirements[i]; r.Key == key {
			return fmt.Sprintf("%s: no node can match both; policy %q requires it (from %s)", format(r.NodeSelectorRequirement), r.policy.name, r.origin)
		}
	}
	return "another expression of its term: no node can match both"
}

// maxCompared is how many values are held against others in search of a
// contradiction.
const maxCompared = 100_000

// domains is the values that each node label may have. It starts with those of
// a nodeSelector and is narrowed by expressions.
type domains struct {
	selector map[string]string
	// before has the keys that byKey has not; nil: there is none.
	before *domains
	byKey  map[string]*domain
	// left is how many more values may be compared. Below zero nothing is found.
	left *int
}

// domain is the values that one node label may have.
type domain struct {
	in               []string // nil: any
	notIn            []string
	present, absent  bool
	above, below     int64 // exclusive bounds, where bounded
	isAbove, isBelow bool
}

// narrow adds an expression, and says whether any node can still match.
func (d *domains) narrow(expression corev1.NodeSelectorRequirement) bool {
	current := d.of(expression.Key)
	have, more := 1+len(current.in), 1+len(current.notIn)+len(expression.Values)
	if *d.left -= have * more; *d.left < 0 {
		return true
	}
	current = current.and(expression)
	if d.byKey == nil {
		d.byKey = map[string]*domain{}
	}
	d.byKey[expression.Key] = &current
	return current.satisfiable()
}

func (d *domains) of(key string) domain {
	if current, ok := d.byKey[key]; ok {
		return *current
	}
	if d.before != nil {
		return d.before.of(key)
	}
	if value, fixed := d.selector[key]; fixed {
		return domain{in: []string{value}, present: true}
	}
	return domain{}
}

// contradictedBy returns the index of the first expression after which no node
// can match any more, or -1.
func (d *domains) contradictedBy(expressions []corev1.NodeSelectorRequirement) int {
	term := domains{before: d, left: d.left}
	return slices.IndexFunc(expressions, func(e corev1.NodeSelectorRequirement) bool { return !term.narrow(e) })
}

func (d domain) and(expression corev1.NodeSelectorRequirement) domain {
	switch expression.Operator {
	case corev1.NodeSelectorOpIn:
		if d.in == nil {
			d.in = slices.Concat([]string{}, expression.Values)
		} else {
			d.in = slices.DeleteFunc(slices.Clone(d.in), func(v string) bool { return !slices.Contains(expression.Values, v) })
		}
		d.present = true
	case corev1.NodeSelectorOpNotIn:
		d.notIn = slices.Concat(d.notIn, expression.Values)
	case corev1.NodeSelectorOpExists:
		d.present = true
	case corev1.NodeSelectorOpDoesNotExist:
		d.absent = true
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		d = d.bounded(expression)
	}
	return d
}

// bounded adds Gt or Lt, whose one value is an integer. Anything else is left to
// the API server to reject.
func (d domain) bounded(expression corev1.NodeSelectorRequirement) domain {
	if len(expression.Values) != 1 {
		return d
	}
	bound, err := strconv.ParseInt(expression.Values[0], 10, 64)
	if err != nil {
		return d
	}
	d.present = true
	if expression.Operator == corev1.NodeSelectorOpGt {
		if !d.isAbove || bound > d.above {
			d.above, d.isAbove = bound, true
		}
	} else if !d.isBelow || bound < d.below {
		d.below, d.isBelow = bound, true
	}
	return d
}

func (d domain) satisfiable() bool {
	if d.absent {
		return !d.present
	}
	if d.in != nil {
		return slices.ContainsFunc(d.in, func(v string) bool { return !slices.Contains(d.notIn, v) && d.within(v) })
	}
	return !d.isAbove || !d.isBelow || d.above < d.below-1
}

// within says whether a value satisfies Gt and Lt.
func (d domain) within(value string) bool {
	if !d.isAbove && !d.isBelow {
		return true
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return err == nil && (!d.isAbove || n > d.above) && (!d.isBelow || n < d.below)
}
