package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Diagnosis is what was found out about an installation.
type Diagnosis struct {
	metav1.TypeMeta `json:",inline"`
	Sections        []Section `json:"sections"`
}

// Section is findings about one thing.
type Section struct {
	Name string `json:"name"`
	// Findings is empty where there is nothing to say.
	Findings []Finding `json:"findings"`
}

// Finding is one thing that was looked at.
type Finding struct {
	Outcome Outcome `json:"outcome"`
	Message string  `json:"message"`
	// Advice is what to do, where something is to be done.
	Advice string `json:"advice,omitempty"`
	// Docs is the page that says more.
	Docs string `json:"docs,omitempty"`
}

// Outcome is how it stands.
type Outcome string

// The outcomes.
const (
	Good    Outcome = "Good"    // it is as it should be
	Bad     Outcome = "Bad"     // it has to be mended
	Note    Outcome = "Note"    // it is good to know
	Unknown Outcome = "Unknown" // it could not be found out
)

// Healthy says whether there is nothing to mend.
func (d *Diagnosis) Healthy() bool {
	return !slices.ContainsFunc(d.Sections, func(s Section) bool {
		return slices.ContainsFunc(s.Findings, func(f Finding) bool { return f.Outcome == Bad })
	})
}

// section is a Section that is to be examined.
type section struct {
	name    string
	examine func(context.Context, *Cluster) []Finding
}

var sections = []section{
	{"configurations", configurations},
	{"webhooks", webhooks},
	{"certificates", certificates},
	{"replicas", replicas},
	{"versions", versions},
	{"scope", scope},
	{"podnodeselector", podNodeSelector},
	{"others", others},
	{"rights", rights},
	{"policies", policies},
	{"daemonsets", daemonSets},
}

// SectionNames are the names of all sections, in their order.
func SectionNames() []string {
	names := make([]string, len(sections))
	for i := range sections {
		names[i] = sections[i].name
	}
	return names
}

// Examine examines the named sections, or all where none is named.
func Examine(ctx context.Context, c *Cluster, only ...string) (*Diagnosis, error) {
	for _, name := range only {
		if !slices.Contains(SectionNames(), name) {
			return nil, fmt.Errorf("no section is named %q; there are %s", name, strings.Join(SectionNames(), ", "))
		}
	}
	d := &Diagnosis{TypeMeta: metav1.TypeMeta{APIVersion: "berth.dev/v1alpha1", Kind: "Diagnosis"}}
	for _, s := range sections {
		if len(only) == 0 || slices.Contains(only, s.name) {
			d.Sections = append(d.Sections, Section{s.name, s.examine(ctx, c)})
		}
	}
	return d, nil
}

func good(format string, args ...any) Finding {
	return Finding{Outcome: Good, Message: fmt.Sprintf(format, args...)}
}

func note(format string, args ...any) Finding {
	return Finding{Outcome: Note, Message: fmt.Sprintf(format, args...)}
}

func bad(docs, advice, format string, args ...any) Finding {
	return Finding{Outcome: Bad, Message: fmt.Sprintf(format, args...), Advice: advice, Docs: docs}
}

// unread is that something could not be read, and which right was lacking.
func unread(what string, err error) Finding {
	f := Finding{Outcome: Unknown, Message: fmt.Sprintf("%s: %v", what, err)}
	if apierrors.IsForbidden(err) {
		f.Message = what + " may not be read by you"
		f.Advice = "have a cluster admin bind you to the ClusterRole berth-command-line: " + err.Error()
	}
	return f
}

// list is some names, as many as anybody reads.
func list(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
