package cluster

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
)

// nameField is the one field of a node that matchFields can ask for.
const nameField = "metadata.name"

// affinityQuery holds the bitmaps that one evaluation works on.
type affinityQuery struct {
	index *NodeIndex
	// term is the nodes that the present term still allows; union is scratch.
	term, union bitmap
	// numbers has the keys of which an expression compares the values.
	numbers *numbersByKey
}

// numbersByKey is made as far as it is asked for, once for several templates.
type numbersByKey map[string]*numbers

// matching returns those of the nodes that match the selector, by the rules of
// component-helpers' nodeaffinity: terms are ORed, and one that is empty or
// cannot be parsed matches no node.
func (x *NodeIndex) matching(terms []corev1.NodeSelectorTerm, nodes bitmap, compared *numbersByKey) bitmap {
	found := x.noNodes()
	q := affinityQuery{index: x, term: x.noNodes(), union: x.noNodes(), numbers: compared}
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
	// A malformed requirement makes the term match nothing, also where its
	// operator alone (NotIn) would match every node.
	having, known := q.index.keys[requirement.Key]
	if !parses(&requirement) || known && !having.valid || !known && len(content.IsLabelKey(requirement.Key)) > 0 {
		return false
	}
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
		bound, _ := strconv.ParseInt(requirement.Values[0], 10, 64) // An integer: it parses.
		q.compare(requirement.Key, requirement.Operator, bound)
	}
	return true
}

// parses says whether apimachinery's labels.NewRequirement takes a requirement of a
// label key, without building one.
func parses(r *corev1.NodeSelectorRequirement) bool {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			return false
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) != 0 {
			return false
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			return false
		}
		if _, err := strconv.ParseInt(r.Values[0], 10, 64); err != nil {
			return false
		}
	default:
		return false
	}
	return !slices.ContainsFunc(r.Values, func(value string) bool {
		return len(content.IsLabelValue(value)) > 0
	})
}

// compare keeps the nodes whose value of the key is an integer beyond the bound.
func (q *affinityQuery) compare(key string, operator corev1.NodeSelectorOperator, bound int64) {
	n := (*q.numbers)[key]
	if n == nil {
		if *q.numbers == nil {
			*q.numbers = numbersByKey{}
		}
		n = newNumbers(q.index, key)
		(*q.numbers)[key] = n
	}
	if operator == corev1.NodeSelectorOpGt {
		n.from(n.firstAbove(bound), q.union)
		q.term.keep(q.union)
		return
	}
	n.from(0, q.union)
	q.term.keep(q.union)
	n.from(n.firstNotBelow(bound), q.union)
	q.term.remove(q.union)
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
