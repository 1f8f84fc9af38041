package admission

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// requirement is what the elements of matchExpressions look like, in label selectors as in node selectors.
type requirement struct {
	key, operator string
	values        []string
}

// nodeSelectorTerms, labelRequirements and tolerations decode what the API server writes, and only that: of anything else, such as
// nulls, escaped keys or keys that are new to us, they say no, and the API server's own decoder, which is slow, has its say.

func (s *scanner) nodeSelectorTerms(raw []byte) (terms []corev1.NodeSelectorTerm, plain bool) {
	s.reset(raw)
	terms = []corev1.NodeSelectorTerm{}
	for range s.elements {
		var term corev1.NodeSelectorTerm
		for key := range s.keys {
			switch {
			case string(key) == "matchExpressions" && term.MatchExpressions == nil:
				term.MatchExpressions = nodeRequirements(s.requirements())
			case string(key) == "matchFields" && term.MatchFields == nil:
				term.MatchFields = nodeRequirements(s.requirements())
			default:
				s.refuse()
			}
		}
		terms = append(terms, term)
	}
	return terms, s.err == nil
}

func (s *scanner) labelRequirements(raw []byte) (requirements []metav1.LabelSelectorRequirement, plain bool) {
	s.reset(raw)
	requirements = []metav1.LabelSelectorRequirement{}
	for _, r := range s.requirements() {
		requirements = append(requirements, metav1.LabelSelectorRequirement{
			Key: r.key, Operator: metav1.LabelSelectorOperator(r.operator), Values: r.values,
		})
	}
	return requirements, s.err == nil
}

func nodeRequirements(requirements []requirement) []corev1.NodeSelectorRequirement {
	converted := make([]corev1.NodeSelectorRequirement, 0, len(requirements))
	for _, r := range requirements {
		converted = append(converted, corev1.NodeSelectorRequirement{
			Key: r.key, Operator: corev1.NodeSelectorOperator(r.operator), Values: r.values,
		})
	}
	return converted
}

func (s *scanner) requirements() []requirement {
	var list []requirement
	for range s.elements {
		var r requirement
		for key := range s.keys {
			switch {
			case string(key) == "key" && r.key == "":
				r.key = s.plainString()
			case string(key) == "operator" && r.operator == "":
				r.operator = s.plainString()
			case string(key) == "values" && r.values == nil:
				r.values = []string{}
				for range s.elements {
					r.values = append(r.values, s.plainString())
				}
			default:
				s.refuse()
			}
		}
		list = append(list, r)
	}
	return list
}

func (s *scanner) tolerations(raw []byte) (tolerations []corev1.Toleration, plain bool) {
	s.reset(raw)
	tolerations = []corev1.Toleration{}
	for range s.elements {
		var t corev1.Toleration
		for key := range s.keys {
			switch {
			case string(key) == "key" && t.Key == "":
				t.Key = s.plainString()
			case string(key) == "operator" && t.Operator == "":
				t.Operator = corev1.TolerationOperator(s.plainString())
			case string(key) == "value" && t.Value == "":
				t.Value = s.plainString()
			case string(key) == "effect" && t.Effect == "":
				t.Effect = corev1.TaintEffect(s.plainString())
			default:
				s.refuse()
			}
		}
		tolerations = append(tolerations, t)
	}
	return tolerations, s.err == nil
}

// plainString consumes a string and returns a copy.
func (s *scanner) plainString() string {
	raw := s.value()
	if at(raw, 0) != '"' {
		s.refuse()
		return ""
	}
	return unquote(raw[1 : len(raw)-1])
}

// refuse makes the scanner stop at a value that is well formed but not plain.
func (s *scanner) refuse() { s.fail(s.pos, badValue) }
