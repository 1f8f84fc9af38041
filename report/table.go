package report

import (
	"fmt"
	"io"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"
)

// table is for a terminal: a line a DaemonSet, then what there is to mend.
func table(w io.Writer, r *Report) error { return tabular(w, r, false) }

// wide is table with the policies, and the reasons for which nodes are left out.
func wide(w io.Writer, r *Report) error { return tabular(w, r, true) }

func tabular(w io.Writer, r *Report, wide bool) error {
	tabs := printers.GetNewTabWriter(w)
	header := []string{"NAMESPACE", "DAEMONSET", "VERDICT", "NODES", "FINDINGS"}
	if wide {
		header = append(header, "POLICIES", "NOT ON")
	}
	_, _ = fmt.Fprintln(tabs, strings.Join(header, "\t"))
	for i := range r.DaemonSets {
		ds := &r.DaemonSets[i]
		row := []string{oneLine(ds.Namespace), oneLine(ds.Name), string(ds.Verdict), ds.nodes(), fmt.Sprint(len(ds.Findings))}
		if wide {
			row = append(row, orNone(strings.Join(ds.Policies, ",")), orNone(ds.notOn()))
		}
		_, _ = fmt.Fprintln(tabs, printers.EscapeTerminal(strings.Join(row, "\t")))
	}
	if err := tabs.Flush(); err != nil {
		return err
	}
	for _, f := range r.All() {
		text := fmt.Sprintf("\n%s: %s: %s [%s]\n  %s\n", f.Place, f.Severity, oneLine(f.Object), f.Rule, strings.ReplaceAll(f.Message, "\n", "\n  | "))
		if _, err := io.WriteString(w, printers.EscapeTerminal(text)); err != nil {
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

// oneLine keeps what is in a file from beginning a line, which a CI system could take for a command.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}

// String is as compilers write it; what was rendered names its template too.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File // an object of the cluster
	}
	at := fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	if p.Source != "" {
		at += " (" + p.Source + ")"
	}
	return at
}

// String is the sum in words.
func (s Summary) String() string {
	return fmt.Sprintf("%s checked: %s, %s, %s", count(s.DaemonSets, "DaemonSet"), count(s.Errors, "error"), count(s.Warnings, "warning"), count(s.Notes, "note"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
