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
		say(w, "%s of %s runs on node %s, as it should.", pod, name, n.Name)
		if n.Reason != "" {
			say(w, "It is %s.", n.Reason)
		}
	case coverage.NotReady:
		say(w, "%s should run on node %s, and is not ready there: %s.", name, n.Name, n.Reason)
	case coverage.WouldRun:
		say(w, "%s would run on node %s.", name, n.Name)
	case coverage.OnItsWay:
		say(w, "%s should run on node %s, and its pod is on its way: %s.", name, n.Name, n.Reason)
	case coverage.Unschedulable, coverage.Missing:
		say(w, "%s should run on node %s, and does not: %s.", name, n.Name, n.Reason)
	case coverage.RunsUntilReplaced:
		say(w, "%s of %s runs on node %s, though it should not: it stays until it is replaced.", pod, name, n.Name)
	case coverage.Leaving:
		say(w, "%s of %s is on node %s, and is going: it should not run there.", pod, name, n.Name)
	case coverage.Tainted, coverage.Excluded:
		say(w, "%s does not run on node %s, and should not.", name, n.Name)
	}
	if n.Pod != "" && n.State.ShouldRun() && n.State != coverage.Running {
		say(w, "The pod is %s.", n.Pod)
	}
	if n.Why != nil {
		e.inTheWay(w, n.Why)
	}
	if n.Command != "" {
		say(w, "To let it run there: %s", n.Command)
	}
}

// inTheWay says all that keeps pods off the node, each with who wrote it.
func (e *Explanation) inTheWay(w *strings.Builder, why *coverage.Why) {
	if why.NodeName != "" {
		say(w, "Its spec.nodeName is %s, and that is another node.", why.NodeName)
	}
	for _, label := range why.Labels {
		key, _, _ := strings.Cut(label, "=")
		has := ""
		if value, labelled := e.Node.Labels[key]; labelled {
			has = fmt.Sprintf("; it has %s=%s", key, value)
		}
		say(w, "The node has no label %s%s%s.", label, e.wrote("nodeSelector", label), has)
	}
	if len(why.Terms) > 1 {
		say(w, "The node meets none of the terms of the required node affinity:")
	}
	for i, term := range why.Terms {
		if len(term.Expressions) == 0 {
			say(w, "Term %d is empty, and no node meets an empty term.", i+1)
		}
		for _, expression := range term.Expressions {
			of := ""
			if len(why.Terms) > 1 {
				of = fmt.Sprintf(" of term %d", i+1)
			}
			say(w, "The node does not meet %s%s%s.", expression, of, e.wrote(fmt.Sprintf("nodeSelectorTerms[%d]", i), expression))
		}
	}
	for _, taint := range why.Taints {
		say(w, "The node has the taint %s, which the pod template does not tolerate.", taint)
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
