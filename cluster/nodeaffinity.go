package cluster

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// nameField is the one field of a node that matchFields can ask for.
const nameField = "metadata.name"

// operators are those of a NodeSelectorRequirement, as labels spells them.
var operators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn:           selection.In,
	corev1.NodeSelectorOpNotIn:        selection.NotIn,
	corev1.NodeSelectorOpExists:       selection.Exists,
	corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
	corev1.NodeSelectorOpGt:           selection.GreaterThan,
	corev1.NodeSelectorOpLt:           selection.LessThan,
}

// affinityQuery holds the bitmaps that one evaluation works on.
type affinityQuery struct {
	index *NodeIndex
	// term is the nodes that the present term still allows; union is scratch.
	term, union bitmap
}

// matching returns those of the nodes that match the selector, by the rules of
// component-helpers' nodeaffinity: terms are ORed, and one that is empty or
// cannot be parsed matches no node.
func (x *NodeIndex) matching(terms []corev1.NodeSelectorTerm, nodes bitmap) bitmap {
	found := x.noNodes()
	q := affinityQuery{index: x, term: x.noNodes(), union: x.noNodes()}
	for i := range terms {
		term := &terms[i]
		if len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0 {
			continue
		}
		copy(q.term, nodes)
		if q.match(term) {
			found.add(q.term)
		}
	}
	return found
}

// match leaves in q.term the nodes that the term matches. It is false when the
// term cannot be parsed.
func (q *affinityQuery) match(term *corev1.NodeSelectorTerm) bool {
	for _, requirement := range term.MatchExpressions {
		if !q.matchLabel(requirement) {
			return false
		}
	}
	for _, requirement := range term.MatchFields {
		if !q.matchField(requirement) {
			return false
		}
	}
	return true
}

func (q *affinityQuery) matchLabel(requirement corev1.NodeSelectorRequirement) bool {
	operator, known := operators[requirement.Operator]
	if !known {
		return false
	}
	// A malformed requirement makes the term match nothing, also where its
	// operator alone (NotIn) would match every node.
	if _, err := labels.NewRequirement(requirement.Key, operator, requirement.Values); err != nil {
		return false
	}
	having := q.index.keys[requirement.Key]
	switch requirement.Operator {
	case corev1.NodeSelectorOpExists:
		having.all.keepIn(q.term)
	case corev1.NodeSelectorOpDoesNotExist:
		having.all.removeFrom(q.term)
	case corev1.NodeSelectorOpNotIn:
		for _, value := range requirement.Values {
			having.values[value].removeFrom(q.term)
		}
	case corev1.NodeSelectorOpIn:
		q.keepAny(func(union bitmap) {
			for _, value := range requirement.Values {
				having.values[value].addTo(union)
			}
		})
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		bound, _ := strconv.ParseInt(requirement.Values[0], 10, 64) // An integer, or NewRequirement had failed.
		q.keepAny(func(union bitmap) {
			for value, set := range having.values {
				if compares(value, requirement.Operator, bound) {
					set.addTo(union)
				}
			}
		})
	}
	return true
}

// compares is false of a value that is no integer.
func compares(value string, operator corev1.NodeSelectorOperator, bound int64) bool {
	have, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return false
	}
	if operator == corev1.NodeSelectorOpGt {
		return have > bound
	}
	return have < bound
}

func (q *affinityQuery) matchField(requirement corev1.NodeSelectorRequirement) bool {
	in := requirement.Operator == corev1.NodeSelectorOpIn
	if !in && requirement.Operator != corev1.NodeSelectorOpNotIn || len(requirement.Values) != 1 {
		return false
	}
	value := requirement.Values[0]
	if requirement.Key != nameField {
		// No node has another field, and a field that is not there equals "".
		if in != (value == "") {
			clear(q.term)
		}
		return true
	}
	id, exists := q.index.ids[value]
	switch {
	case in:
		q.term.keepOne(id, exists)
	case exists:
		q.term.drop(id)
	}
	return true
}

// keepAny keeps those nodes of the present term that fill puts into an empty
// bitmap.
func (q *affinityQuery) keepAny(fill func(union bitmap)) {
	clear(q.union)
	fill(q.union)
	q.term.keep(q.union)
}
