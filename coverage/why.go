package coverage

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"berth.dev/berth/placement"
)

// Why is what keeps the pods off a node. The zero value is nothing.
type Why struct {
	// NodeName is the template's spec.nodeName, where that is another node.
	NodeName string `json:"nodeName,omitempty"`
	// Labels are those of the nodeSelector that the node lacks, as key=value.
	Labels []string `json:"labels,omitempty"`
	// Terms has, of each term of required node affinity, the expressions that the node does not meet; it is empty where the
	// node meets all of one term. An empty term, which no node meets, is here as one without expressions.
	Terms []Term `json:"terms,omitempty"`
	// Taints are those that are not tolerated, and Evicts says that one of them makes pods go that run already.
	Taints []string `json:"taints,omitempty"`
	Evicts bool     `json:"evicts,omitempty"`
}

// Term is the expressions of one term that a node does not meet, as arch NotIn [arm].
type Term struct {
	Expressions []string `json:"expressions"`
}

// Selected says whether only taints are in the way, if anything is.
func (w *Why) Selected() bool { return w.NodeName == "" && len(w.Labels)+len(w.Terms) == 0 }

// String is the first thing in the way, in the order in which the DaemonSet controller looks; empty where nothing is.
func (w Why) String() string {
	switch {
	case w.NodeName != "":
		return "spec.nodeName is another one"
	case len(w.Labels) > 0:
		return "no label " + strings.Join(w.Labels, ", ")
	case len(w.Terms) == 1 && len(w.Terms[0].Expressions) > 1:
		return "required expressions " + w.Terms[0].String() + " are not met"
	case len(w.Terms) == 1 && len(w.Terms[0].Expressions) == 1:
		return "required expression " + w.Terms[0].String() + " is not met"
	case len(w.Terms) > 0:
		return fmt.Sprintf("none of the required terms is met: %s", w.failedTerms())
	case len(w.Taints) > 0:
		return "taint " + strings.Join(w.Taints, ", ") + " is not tolerated"
	}
	return ""
}

// mostTerms is as many as anybody reads in one line.
const mostTerms = 3

func (w *Why) failedTerms() string {
	var terms []string
	for _, term := range w.Terms[:min(len(w.Terms), mostTerms)] {
		terms = append(terms, term.String())
	}
	if more := len(w.Terms) - mostTerms; more > 0 {
		terms = append(terms, fmt.Sprintf("%d more", more))
	}
	return strings.Join(terms, "; ")
}

// String is the expressions of a term, joined by "and".
func (t Term) String() string {
	if len(t.Expressions) == 0 {
		return "an empty one, which no node meets"
	}
	return strings.Join(t.Expressions, " and ")
}

// predicate is what a template asks of each node.
type predicate struct {
	nodeName     string
	nodeSelector map[string]string
	keys         []string // of nodeSelector, sorted
	affinity     nodeaffinity.RequiredNodeAffinity
	terms        [][]requirement
	tolerations  placement.PodTolerations
}

// requirement is one expression, alone.
type requirement struct {
	text     string
	selector *nodeaffinity.LazyErrorNodeSelector
}

func newPredicate(pod *corev1.PodTemplateSpec) predicate {
	template := placement.TemplateOf(pod.Labels, &pod.Spec)
	p := predicate{
		nodeName: pod.Spec.NodeName, nodeSelector: pod.Spec.NodeSelector, keys: slices.Sorted(maps.Keys(pod.Spec.NodeSelector)),
		affinity: nodeaffinity.NewRequiredNodeAffinity(nil, pod.Spec.Affinity), tolerations: placement.NewPodTolerations(&template),
	}
	for _, term := range template.Affinity.Terms {
		expressions := make([]requirement, 0, len(term.MatchExpressions)+len(term.MatchFields))
		for _, e := range term.MatchExpressions {
			expressions = append(expressions, alone(e, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{e}}))
		}
		for _, e := range term.MatchFields {
			expressions = append(expressions, alone(e, corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{e}}))
		}
		p.terms = append(p.terms, expressions)
	}
	return p
}

func alone(e corev1.NodeSelectorRequirement, term corev1.NodeSelectorTerm) requirement {
	selector := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}}
	return requirement{placement.FormatRequirement(e), nodeaffinity.NewLazyErrorNodeSelector(selector)}
}

// why is what keeps the pods from the node, all of it.
func (p *predicate) why(node *corev1.Node) Why {
	var w Why
	if p.nodeName != "" && p.nodeName != node.Name {
		w.NodeName = p.nodeName
	}
	for _, key := range p.keys {
		if value, labelled := node.Labels[key]; !labelled || value != p.nodeSelector[key] {
			w.Labels = append(w.Labels, key+"="+p.nodeSelector[key])
		}
	}
	// As in the controller, an expression that does not parse is no match.
	if matches, _ := p.affinity.Match(node); !matches {
		w.Terms = p.unmet(node)
	}
	untolerated := p.tolerations.Untolerated(node.Spec.Taints)
	for i := range untolerated {
		w.Taints = append(w.Taints, untolerated[i].ToString())
	}
	w.Evicts = placement.Evict(untolerated)
	return w
}

func (p *predicate) unmet(node *corev1.Node) []Term {
	terms := make([]Term, 0, max(1, len(p.terms)))
	for _, expressions := range p.terms {
		term := Term{Expressions: []string{}}
		for i := range expressions {
			if matches, err := expressions[i].selector.Match(node); err != nil || !matches {
				term.Expressions = append(term.Expressions, expressions[i].text)
			}
		}
		terms = append(terms, term)
	}
	if len(terms) == 0 { // required, and without any term
		terms = append(terms, Term{Expressions: []string{}})
	}
	return terms
}
