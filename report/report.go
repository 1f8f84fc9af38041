// Package report writes what a command found out about DaemonSets, for people, for programs and for CI.
//
//	report.go    what there is to say
//	formats.go   the formats by name, and where each is written to
//	text.go      what the formats for people have in common
//	table.go     table and wide
//	structured.go  yaml, json and diff
//	ci.go        github and junit
//	sarif.go     sarif, and what the rules are
//	markdown.go  markdown
package report

import (
	"cmp"
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/coverage"
)

// Report is what a check found out.
type Report struct {
	metav1.TypeMeta `json:",inline"`
	DaemonSets      []DaemonSet `json:"daemonSets"`
	// Findings is what is not about one of the DaemonSets.
	Findings []Finding `json:"findings,omitempty"`
	Summary  Summary   `json:"summary"`
}

// Summary counts.
type Summary struct {
	DaemonSets int `json:"daemonSets"`
	Errors     int `json:"errors"`
	Warnings   int `json:"warnings"`
	Notes      int `json:"notes"`
}

// Verdict is what becomes of a DaemonSet.
type Verdict string

// The verdicts.
const (
	Denied    Verdict = "Denied"    // it is refused
	Changed   Verdict = "Changed"   // berth adds to it
	Unchanged Verdict = "Unchanged" // berth adds nothing: no policy applies, or it has all that they require
	NoPolicy  Verdict = "NoPolicy"  // no policy is for its namespace
	Excluded  Verdict = "Excluded"  // the webhook configurations leave it out
)

// rank puts first what somebody may want to look at.
func (v Verdict) rank() int {
	return slices.Index([]Verdict{Denied, Changed, Unchanged, NoPolicy, Excluded}, v)
}

// DaemonSet is what was found out about one.
type DaemonSet struct {
	Namespace string  `json:"namespace"`
	Name      string  `json:"name"`
	Place     Place   `json:"place"`
	Verdict   Verdict `json:"verdict"`
	// Policies is the names of those that apply.
	Policies []string `json:"policies,omitempty"`
	// Patch is the JSON patch that berth answers.
	Patch json.RawMessage `json:"patch,omitempty"`
	// Diff is the same as a unified diff of the object's YAML.
	Diff string `json:"diff,omitempty"`
	// Placement is what would be stored of the fields that decide on nodes; nil where nothing would be.
	Placement *Placement `json:"placement,omitempty"`
	// Nodes is nil where no nodes are known.
	Nodes    *coverage.Coverage `json:"nodes,omitempty"`
	Findings []Finding          `json:"findings,omitempty"`
}

// Placement is the fields of a pod that decide on its nodes.
type Placement struct {
	NodeSelector map[string]string   `json:"nodeSelector,omitempty"`
	Affinity     *corev1.Affinity    `json:"affinity,omitempty"`
	Tolerations  []corev1.Toleration `json:"tolerations,omitempty"`
}

// Place is where something stands.
type Place struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Source is the template that it was rendered from.
	Source string `json:"source,omitempty"`
}

// stdin is what a file is called that is standard input.
const stdin = "(stdin)"

// toOpen is the place for those who open files: what came from standard input is at its template, whose lines are not known.
func (p Place) toOpen() Place {
	if p.File == stdin && p.Source != "" {
		return Place{File: p.Source}
	}
	return p
}

// Severity is how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Note}, s) }

// Finding is one thing to know.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Object is what it is about, as KIND/NAME or KIND/NAMESPACE/NAME.
	Object  string `json:"object"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Place   Place  `json:"place"`
}

// whole is the message with what it is about, for formats that show the place apart and have no room there for the template.
func (f *Finding) whole() string {
	text := f.Object + ": " + f.Message
	if f.Place.Source != "" {
		text += " (" + f.Place.Source + ")"
	}
	return text
}

// New puts everything into its order, and counts.
func New(daemonSets []DaemonSet, findings []Finding) *Report {
	r := &Report{
		TypeMeta:   metav1.TypeMeta{APIVersion: "berth.dev/v1alpha1", Kind: "CheckReport"},
		DaemonSets: daemonSets, Findings: findings,
		Summary: Summary{DaemonSets: len(daemonSets)},
	}
	slices.SortStableFunc(r.DaemonSets, func(a, b DaemonSet) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	if r.DaemonSets == nil {
		r.DaemonSets = []DaemonSet{}
	}
	for _, finding := range r.All() {
		switch finding.Severity {
		case Error:
			r.Summary.Errors++
		case Warning:
			r.Summary.Warnings++
		case Note:
			r.Summary.Notes++
		}
	}
	return r
}

// summary is one line.
func (r *Report) summary() string { return r.Summary.String() }

// All is every finding, the worst first, and then by its place.
func (r *Report) All() []Finding {
	all := slices.Clone(r.Findings)
	for i := range r.DaemonSets {
		all = append(all, r.DaemonSets[i].Findings...)
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line))
	})
	return all
}

// Fails says whether there is a finding of this severity, or a worse one. "never" is no severity: nothing is as bad.
func (r *Report) Fails(from string) bool {
	return from == string(Error) && r.Summary.Errors > 0 || from == string(Warning) && r.Summary.Errors+r.Summary.Warnings > 0
}
