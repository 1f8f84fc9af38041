package report

import (
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/coverage"
)

// Explanation is why the pods of one DaemonSet run where they run.
type Explanation struct {
	metav1.TypeMeta `json:",inline"`
	Namespace       string `json:"namespace"`
	Name            string `json:"name"`
	// LeftOut is why berth is not asked about it, one reason for each webhook; empty: it is asked.
	LeftOut []string `json:"leftOut,omitempty"`
	// Policies is all of the cluster's, by name.
	Policies []ExplainedPolicy `json:"policies"`
	// Placement is everything in the pod template that decides on nodes, with who wrote it.
	Placement []Written `json:"placement"`
	// Nodes is nil where they are not known, and where one node is asked about.
	Nodes *ExplainedNodes `json:"nodes,omitempty"`
	// Node is the one that is asked about.
	Node *ExplainedNode `json:"node,omitempty"`
	// Unknown is what could not be read, and what that means.
	Unknown []string `json:"unknown,omitempty"`
}

// ExplainedPolicy is what one policy has to do with the DaemonSet.
type ExplainedPolicy struct {
	Name string `json:"name"`
	Mode string `json:"mode,omitempty"`
	// Applies says that it acts on the DaemonSet, and Reason why not.
	Applies bool            `json:"applies"`
	Reason  string          `json:"reason,omitempty"`
	Items   []ExplainedItem `json:"items,omitempty"`
	// Violations is what it does not put right.
	Violations []string `json:"violations,omitempty"`
}

// ExplainedItem is one thing that a policy requires, and what becomes of it with the next change of the pod template.
type ExplainedItem struct {
	Field   string `json:"field"`
	What    string `json:"what"`
	Source  string `json:"source"`
	Outcome string `json:"outcome"`
	// Other is the value that is replaced, kept or in conflict.
	Other string `json:"other,omitempty"`
}

// Written is one thing in the pod template that decides on nodes.
type Written struct {
	Field string `json:"field"`
	What  string `json:"what"`
	// By is Author or Berth.
	By string `json:"by"`
	// Policy is the one for which berth wrote it, or which requires what the author wrote; and Source where it takes it from.
	Policy string `json:"policy,omitempty"`
	Source string `json:"source,omitempty"`
	// Overridden is what the author wrote in its place.
	Overridden string `json:"overridden,omitempty"`
}

// Who wrote something.
const (
	Author = "Author"
	Berth  = "Berth"
)

// ExplainedNodes is where the pods are, and why not elsewhere.
type ExplainedNodes struct {
	coverage.Counts `json:",inline"`
	Groups          []coverage.StateGroup `json:"groups"`
}

// ExplainedNode is one node.
type ExplainedNode struct {
	coverage.Node `json:",inline"`
	// Labels is what the node has of the labels that the DaemonSet selects by.
	Labels map[string]string `json:"labels,omitempty"`
	// Command would let a pod run there, where a label is all that is missing.
	Command string `json:"command,omitempty"`
}

var explanationFormats = formats[*Explanation]{
	"table": explanationText, "yaml": asYAML[*Explanation], "json": asJSON[*Explanation],
}

// ExplanationFormats lists the names of those that an Explanation has.
func ExplanationFormats() []string { return explanationFormats.names() }

// ParseExplanationOutput reads FORMAT[=FILE] of an Explanation.
func ParseExplanationOutput(text string) (Output, error) { return explanationFormats.parse(text) }

// Write writes the explanation to an output, as that of a Report does.
func (e *Explanation) Write(output Output, stdout io.Writer) error {
	e.TypeMeta = metav1.TypeMeta{APIVersion: "berth.dev/v1alpha1", Kind: "Explanation"}
	return explanationFormats.write([]Output{output}, stdout, e)
}
