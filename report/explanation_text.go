package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"berth.dev/berth/coverage"
)

// explanationText is for a terminal: first what it comes to, then the policies, the template, the nodes.
func explanationText(w io.Writer, e *Explanation) error {
	var text strings.Builder
	if e.Node != nil {
		e.sentences(&text)
	} else {
		e.tables(&text)
	}
	for _, unknown := range e.Unknown {
		text.WriteByte('\n')
		say(&text, "Not known: %s", unknown)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (e *Explanation) tables(w *strings.Builder) {
	say(w, "%s", e.summary())
	for _, why := range e.LeftOut {
		say(w, "berth is not asked about it: %s", why)
	}
	if len(e.Policies) > 0 {
		table := grid{{"POLICY", "APPLIES", "REQUIRES", "OUTCOME", "SOURCE"}}
		for i := range e.Policies {
			e.Policies[i].addTo(&table)
		}
		table.below(w)
		for i := range e.Policies {
			for _, violation := range e.Policies[i].Violations {
				w.WriteString("  ")
				say(w, "%s: %s", e.Policies[i].Name, violation)
			}
		}
	}
	if len(e.Placement) > 0 {
		table := grid{{"IN THE POD TEMPLATE", "VALUE", "WRITTEN BY"}}
		for i := range e.Placement {
			table.row(shortField(e.Placement[i].Field), e.Placement[i].What, e.Placement[i].by())
		}
		table.below(w)
	}
	if e.Nodes == nil {
		return
	}
	table := grid{{"NODES", "STATE", "REASON", "WHICH"}}
	for _, group := range e.Nodes.Groups {
		table.row(fmt.Sprint(len(group.Nodes)), string(group.State), orNone(group.Reason), which(group.Nodes))
	}
	table.below(w)
}

// summary is one line.
func (e *Explanation) summary() string {
	name := fmt.Sprintf("DaemonSet %s/%s", e.Namespace, e.Name)
	switch {
	case e.Nodes == nil:
		return name
	case e.Nodes.ShouldRun == 0:
		return fmt.Sprintf("%s should run on none of %s", name, count(e.Nodes.Total, "node"))
	}
	return fmt.Sprintf("%s runs on %d of the %s that it should run on, of %s in all",
		name, e.Nodes.Running, count(e.Nodes.ShouldRun, "node"), count(e.Nodes.Total, "node"))
}

// addTo adds a row for each thing that the policy requires, or one with the reason why it does not apply.
func (p *ExplainedPolicy) addTo(t *grid) {
	applies := "yes"
	switch {
	case p.Reason != "":
		applies = "no: " + p.Reason
	case p.Mode == "Audit":
		applies = "in mode Audit"
	}
	if len(p.Items) == 0 {
		t.row(p.Name, applies, "<none>", "<none>", "<none>")
		return
	}
	for i := range p.Items {
		item := &p.Items[i]
		name, also := p.Name, applies
		if i > 0 {
			name, also = "", ""
		}
		t.row(name, also, item.What, item.outcome(p.Mode == "Audit"), item.Source)
	}
}

// outcome is what becomes of the item in words. A policy in mode Audit only looks.
func (i *ExplainedItem) outcome(audit bool) string {
	switch i.Outcome {
	case "present":
		return "there"
	case "added", "replaced":
		if audit {
			return "not there"
		}
	}
	switch i.Outcome {
	case "added":
		return "added with the next change of the template"
	case "replaced":
		return fmt.Sprintf("replaces %s with the next change of the template", i.Other)
	case "kept":
		return fmt.Sprintf("the author's %s stays", i.Other)
	case "conflict":
		if i.Other == "" {
			return "in conflict"
		}
		return "in conflict with " + i.Other
	}
	return "not there"
}

// by is who wrote it, in a column.
func (w *Written) by() string {
	switch {
	case w.By == Author && w.Policy != "":
		return fmt.Sprintf("its author; policy %s requires it too (%s)", w.Policy, w.Source)
	case w.By == Author:
		return "its author"
	}
	return "berth " + w.forWhom()
}

// wrote is who wrote it, in a sentence.
func (w *Written) wrote() string {
	switch {
	case w.By == Author && w.Policy != "":
		return fmt.Sprintf("which its author wrote, and policy %s requires too (%s)", w.Policy, w.Source)
	case w.By == Author:
		return "which its author wrote"
	}
	return "which berth wrote " + w.forWhom()
}

// forWhom is the policy that berth wrote it for.
func (w *Written) forWhom() string {
	if w.Policy == "" {
		return "for a policy that an earlier version did not record"
	}
	text := "for policy " + w.Policy
	if w.Source == "" {
		text += ", which does not require it any more"
	} else {
		text += " (" + w.Source + ")"
	}
	if w.Overridden != "" {
		text += ", in place of its author's " + w.Overridden
	}
	return text
}

var term = regexp.MustCompile(`^affinity\.nodeAffinity\.requiredDuringSchedulingIgnoredDuringExecution\.nodeSelectorTerms\[(\d+)\].*$`)

// shortField names a field as long as a column may be: nodeSelector, nodeSelectorTerms[0], tolerations.
func shortField(field string) string {
	field = strings.TrimPrefix(field, "spec.template.spec.")
	if match := term.FindStringSubmatch(field); match != nil {
		return "nodeSelectorTerms[" + match[1] + "]"
	}
	name, _, _ := strings.Cut(field, "[")
	return name
}

func which(nodes []coverage.NodePod) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Node)
	}
	return firstNodes(names, ", ")
}
