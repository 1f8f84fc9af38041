package placement

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// findContradiction returns an error when no node, whatever its labels, can
// satisfy the final template: the required labels and requirements against each
// other, and against every term of the node affinity. It names the part that is
// the user's.
func findContradiction(final *Template, wanted []requirement) *field.Error {
	base := domains{selector: final.NodeSelector}
	for _, r := range wanted {
		if !base.narrow(r.NodeSelectorRequirement) {
			return field.Invalid(nodeSelectorPath.key(r.Key).field, final.NodeSelector[r.Key],
				fmt.Sprintf("policy %q requires %s", r.policy.name, format(r.NodeSelectorRequirement))+", and contradicts it: no node can match both; change the one or the other")
		}
	}
	var first *field.Error
	for i, term := range final.Affinity.Terms {
		if len(term.MatchExpressions)+len(term.MatchFields) == 0 {
			continue
		}
		culprit := base.contradictedBy(term.MatchExpressions)
		if culprit < 0 {
			return nil // Terms are ORed: this one can match.
		}
		if first == nil {
			expression := term.MatchExpressions[culprit]
			first = field.Invalid(termsPath.index(i).child("matchExpressions").index(culprit).field, format(expression),
				"contradicts "+base.describe(expression.Key, wanted)+": no node can match both; remove this expression")
		}
	}
	return first
}

// domains is the values that each node label may have. It starts with those of
// a nodeSelector and is narrowed by expressions.
type domains struct {
	selector map[string]string
	byKey    map[string]domain
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
	current, ok := d.byKey[expression.Key]
	if value, fixed := d.selector[expression.Key]; !ok && fixed {
		current = domain{in: []string{value}, present: true}
	}
	current = current.and(expression)
	if d.byKey == nil {
		d.byKey = map[string]domain{}
	}
	d.byKey[expression.Key] = current
	return current.satisfiable()
}

// contradictedBy returns the index of the first expression after which no node
// can match any more, or -1.
func (d *domains) contradictedBy(expressions []corev1.NodeSelectorRequirement) int {
	term := domains{selector: d.selector, byKey: make(map[string]domain, len(d.byKey)+len(expressions))}
	maps.Copy(term.byKey, d.byKey)
	return slices.IndexFunc(expressions, func(e corev1.NodeSelectorRequirement) bool { return !term.narrow(e) })
}

// describe says, for a message, what is required of a key outside a term.
func (d *domains) describe(key string, wanted []requirement) string {
	if value, ok := d.selector[key]; ok {
		return fmt.Sprintf("%s=%s of spec.template.spec.nodeSelector", key, value)
	}
	for _, r := range wanted {
		if r.Key == key {
			return fmt.Sprintf("%s, which policy %q requires", format(r.NodeSelectorRequirement), r.policy.name)
		}
	}
	return "another expression of its term"
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
