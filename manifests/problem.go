package manifests

import "go.yaml.in/yaml/v3"

// Problem is what the API server would refuse, or kubectl.
type Problem struct {
	Place
	// Object is what it is about, as KIND/NAME.
	Object string
	// Kind, Namespace and Name are the object's, as far as it says them.
	Kind, Namespace, Name string
	// Field is the path of what is wrong in the object; empty where it is all of it.
	Field string
	// Rule is its name, one of the Rules.
	Rule    Rule
	Message string

	node *yaml.Node
}

// Rule is the name of a kind of problem.
type Rule string

// The rules of what manifests themselves can have wrong.
const (
	RuleUnknownField  Rule = "unknown-field"
	RuleOldAPIVersion Rule = "old-api-version"
	RuleMalformed     Rule = "malformed"
	RuleDuplicate     Rule = "duplicate"
)

func (s *Set) problem(o *object, field string, rule Rule, message string) {
	s.Problems = append(s.Problems, Problem{o.Field(field), o.Kind + "/" + o.name, o.Kind, o.namespace, o.name, field, rule, message, o.node})
}

// ProblemsByDaemonSet returns the problems of each of the DaemonSets, in their order, and all others.
func (s *Set) ProblemsByDaemonSet() (of [][]Problem, others []Problem) {
	of = make([][]Problem, len(s.DaemonSets))
	at := map[*yaml.Node]int{}
	for i := range s.DaemonSets {
		at[s.DaemonSets[i].node] = i
	}
	for _, problem := range s.Problems {
		if i, found := at[problem.node]; found {
			of[i] = append(of[i], problem)
		} else {
			others = append(others, problem)
		}
	}
	return of, others
}
