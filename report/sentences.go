package report

import (
	"fmt"
	"strings"

	"berth.dev/berth/coverage"
)

// sentences says of one node what a colleague would say.
func (e *Explanation) sentences(w *strings.Builder) {
	n, name := e.Node, fmt.Sprintf("DaemonSet %s/%s", e.Namespace, e.Name)
	pod := "Pod " + n.Pod
	switch n.State {
	case coverage.Running:
		fmt.Fprintf(w, "%s of %s runs on node %s, as it should.\n", pod, name, n.Name)
		if n.Reason != "" {
			fmt.Fprintf(w, "It is %s.\n", oneLine(n.Reason))
		}
	case coverage.NotReady:
		fmt.Fprintf(w, "%s should run on node %s, and is not ready there: %s.\n", name, n.Name, oneLine(n.Reason))
	case coverage.WouldRun:
		fmt.Fprintf(w, "%s would run on node %s.\n", name, n.Name)
	case coverage.OnItsWay:
		fmt.Fprintf(w, "%s should run on node %s, and its pod is on its way: %s.\n", name, n.Name, oneLine(n.Reason))
	case coverage.Unschedulable, coverage.Missing:
		fmt.Fprintf(w, "%s should run on node %s, and does not: %s.\n", name, n.Name, oneLine(n.Reason))
	case coverage.RunsUntilReplaced:
		fmt.Fprintf(w, "%s of %s runs on node %s, though it should not: it stays until it is replaced.\n", pod, name, n.Name)
	case coverage.Leaving:
		fmt.Fprintf(w, "%s of %s is on node %s, and is going: it should not run there.\n", pod, name, n.Name)
	case coverage.Tainted, coverage.Excluded:
		fmt.Fprintf(w, "%s does not run on node %s, and should not.\n", name, n.Name)
	}
	if n.Pod != "" && n.State.ShouldRun() && n.State != coverage.Running {
		fmt.Fprintf(w, "The pod is %s.\n", n.Pod)
	}
	if n.Why != nil {
		e.inTheWay(w, n.Why)
	}
	if n.Command != "" {
		fmt.Fprintf(w, "To let it run there: %s\n", n.Command)
	}
}

// inTheWay says all that keeps pods off the node, each with who wrote it.
func (e *Explanation) inTheWay(w *strings.Builder, why *coverage.Why) {
	if why.NodeName != "" {
		fmt.Fprintf(w, "Its spec.nodeName is %s, and that is another node.\n", why.NodeName)
	}
	for _, label := range why.Labels {
		key, _, _ := strings.Cut(label, "=")
		has := ""
		if value, labelled := e.Node.Labels[key]; labelled {
			has = fmt.Sprintf("; it has %s=%s", key, value)
		}
		fmt.Fprintf(w, "The node has no label %s%s%s.\n", label, e.wrote("nodeSelector", label), has)
	}
	if len(why.Terms) > 1 {
		fmt.Fprint(w, "The node meets none of the terms of the required node affinity:\n")
	}
	for i, term := range why.Terms {
		if len(term.Expressions) == 0 {
			fmt.Fprintf(w, "Term %d is empty, and no node meets an empty term.\n", i+1)
		}
		for _, expression := range term.Expressions {
			of := ""
			if len(why.Terms) > 1 {
				of = fmt.Sprintf(" of term %d", i+1)
			}
			fmt.Fprintf(w, "The node does not meet %s%s%s.\n", expression, of, e.wrote(fmt.Sprintf("nodeSelectorTerms[%d]", i), expression))
		}
	}
	for _, taint := range why.Taints {
		fmt.Fprintf(w, "The node has the taint %s, which the pod template does not tolerate.\n", taint)
	}
}

// wrote is who wrote something in the pod template, to go on with a sentence.
func (e *Explanation) wrote(field, what string) string {
	for i := range e.Placement {
		if w := &e.Placement[i]; w.What == what && shortField(w.Field) == field {
			return ", " + w.wrote()
		}
	}
	return ""
}
