package placement

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// asked is a question with its objects, of which each is read once, whatever the
// number of policies, and however often an answer comes back to them.
type asked struct {
	*Question
	// updated is New, and stored is Old; nil on creation.
	updated, stored *readObject
	// surveyed is the template that was counted last, with what was counted.
	surveyed *Template
	counted  Survey
	// encoded is what storedPlacement returns.
	encoded []byte
}

// storedPlacement says on which nodes the stored template runs.
func (a *asked) storedPlacement() []byte {
	if a.encoded == nil {
		a.encoded = a.Old.Template.appendNodes(nil)
	}
	return a.encoded
}

// survey counts the nodes of the stored template and of one to be stored, once
// where policies in mode Audit would store the same.
func (a *asked) survey(stored, after *Template) Survey {
	if a.surveyed == nil || !a.surveyed.Equal(after) {
		a.surveyed, a.counted = after, a.Nodes.Survey(stored, after)
	}
	return a.counted
}

func ask(q *Question) *asked {
	a := &asked{Question: q, updated: newReadObject(q.New)}
	switch q.Old {
	case nil:
	case q.New:
		a.stored = a.updated
	default:
		a.stored = newReadObject(q.Old)
		a.stored.like = a.updated
	}
	return a
}

// readObject is an object, and what has been read of it so far.
type readObject struct {
	*Object
	// like is another object, which often has the same annotations; nil: there is none.
	like     *readObject
	texts    map[string]*nodeSelectorText // by the annotation's key
	shape    *shape
	selector *readSelector
}

func newReadObject(object *Object) *readObject { return &readObject{Object: object} }

// annotation returns an annotation that is there, read as node labels.
func (o *readObject) annotation(key string) *nodeSelectorText {
	if text, done := o.texts[key]; done {
		return text
	}
	value := o.Annotations[key]
	var text *nodeSelectorText
	if same, ok := o.likeAnnotation(key); ok && same == value {
		text = o.like.annotation(key)
	} else {
		text = parseNodeSelector(value)
	}
	if o.texts == nil {
		o.texts = map[string]*nodeSelectorText{}
	}
	o.texts[key] = text
	return text
}

func (o *readObject) likeAnnotation(key string) (value string, ok bool) {
	if o.like == nil {
		return "", false
	}
	value, ok = o.like.Annotations[key]
	return value, ok
}

// shape is what is malformed in an object for any policy.
type shape struct {
	errs     field.ErrorList
	readable bool
}

// checkShape is the function of that name, called once.
func (o *readObject) checkShape() *shape {
	if o.shape == nil {
		o.shape = &shape{}
		o.shape.errs, o.shape.readable = checkShape(o.Object)
	}
	return o.shape
}

// readSelector is a spec.selector as node labels and expressions, sorted.
type readSelector struct {
	labels      []nodeLabel
	expressions []corev1.NodeSelectorRequirement
}

// nodeLabel is one label of a node.
type nodeLabel struct{ key, value string }

// selectorRead returns the object's spec.selector, which is there.
func (o *readObject) selectorRead() *readSelector {
	if o.selector != nil {
		return o.selector
	}
	read := &readSelector{labels: sortedLabels(o.Selector.MatchLabels)}
	for _, expression := range o.Selector.MatchExpressions {
		// The four operators of a label selector have the same names and meanings in node affinity.
		read.expressions = append(read.expressions, corev1.NodeSelectorRequirement{
			Key:      expression.Key,
			Operator: corev1.NodeSelectorOperator(expression.Operator),
			Values:   slices.Compact(slices.Sorted(slices.Values(expression.Values))),
		})
	}
	o.selector = read
	return read
}

// sortedLabels returns the labels in the order of their keys.
func sortedLabels(labels map[string]string) []nodeLabel {
	list := make([]nodeLabel, 0, len(labels))
	for key, value := range labels {
		list = append(list, nodeLabel{key, value})
	}
	slices.SortFunc(list, func(a, b nodeLabel) int { return strings.Compare(a.key, b.key) })
	return list
}
