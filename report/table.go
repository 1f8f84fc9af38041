package report

import (
	"fmt"
	"io"
	"strings"
)

// table is for a terminal: a line a DaemonSet, then what there is to mend.
func table(w io.Writer, r *Report) error { return tabular(w, r, false) }

// wide is table with the policies, and the reasons for which nodes are left out.
func wide(w io.Writer, r *Report) error { return tabular(w, r, true) }

func tabular(w io.Writer, r *Report, wide bool) error {
	header := []string{"NAMESPACE", "DAEMONSET", "VERDICT", "NODES", "FINDINGS"}
	if wide {
		header = append(header, "POLICIES", "NOT ON")
	}
	rows := grid{header}
	for i := range r.DaemonSets {
		ds := &r.DaemonSets[i]
		row := []string{ds.Namespace, ds.Name, string(ds.Verdict), ds.nodes(), fmt.Sprint(len(ds.Findings))}
		if wide {
			row = append(row, orNone(strings.Join(ds.Policies, ",")), orNone(ds.notOn()))
		}
		rows.row(row...)
	}
	if err := rows.tabs(w); err != nil {
		return err
	}
	for _, f := range r.All() {
		if _, err := fmt.Fprintf(w, "\n%s: %s: %s [%s]\n  %s\n", f.Place, f.Severity, plain(f.Object), f.Rule, Paragraph(f.Message)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.Summary)
	return err
}

// nodes is like 3/6: those that the pods run on, of all; "?" where nobody knows.
func (ds *DaemonSet) nodes() string {
	switch {
	case ds.Verdict == Denied:
		return "-"
	case ds.Nodes == nil:
		return "?"
	}
	return fmt.Sprintf("%d/%d", len(ds.Nodes.Runs), ds.Nodes.Total)
}

func (ds *DaemonSet) notOn() string {
	if ds.Nodes == nil {
		return ""
	}
	var groups []string
	for _, group := range ds.Nodes.Excluded {
		groups = append(groups, fmt.Sprintf("%d: %s", len(group.Nodes), group.Reason))
	}
	return strings.Join(groups, "; ")
}

// String is as compilers write it; what was rendered names its template too.
func (p Place) String() string {
	if p.Line == 0 {
		return visible(p.File) // an object of the cluster
	}
	at := fmt.Sprintf("%s:%d:%d", visible(p.File), p.Line, p.Column)
	if p.Source != "" {
		at += " (" + visible(p.Source) + ")"
	}
	return at
}

// String is the sum in words.
func (s Summary) String() string {
	return fmt.Sprintf("%s checked: %s, %s, %s", count(s.DaemonSets, "DaemonSet"), count(s.Errors, "error"), count(s.Warnings, "warning"), count(s.Notes, "note"))
}
