package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// lifecycleTaints is the prefix of the taints by which Kubernetes itself takes
// nodes out of service for a while.
const lifecycleTaints = "node.kubernetes.io/"

// describeFewNodes says how many nodes match, and what to do about it, in the
// length of a warning.
func describeFewNodes(survey *Survey, final *hands) string {
	found := fmt.Sprintf("matches %d of %d nodes: ", survey.Eligible, survey.Total)
	selector := final.template.NodeSelector
	switch closest := survey.Closest; {
	case survey.Total == 0:
		return found + "the cluster has none yet"
	case survey.Blocked > 0:
		return found + survey.Taint.describe()
	case closest.Nodes > 0:
		return fmt.Sprintf("%sno node has %s; %d have %s=%s", found, survey.Missing, closest.Nodes, closest.Key, closest.Value)
	case len(survey.NeverTogether) > 0:
		return found + final.describeNeverTogether(survey.NeverTogether)
	}
	if key, _, _ := strings.Cut(survey.Missing, "="); isGiven(key) {
		return found + "no node has " + survey.Missing + ", which nodes get by themselves"
	}
	if !final.template.Affinity.Required() && final.template.NodeName == "" {
		if hint := found + adviseLabels(selector); hint != found && len(hint) <= maxWarning {
			return hint
		}
	}
	if survey.Missing != "" {
		return found + "no node has " + survey.Missing
	}
	return found + "label one to fit spec.template.spec.nodeSelector and affinity, or change them"
}

// adviseLabels says how to make a node match; empty where labels that people set
// are no cure.
func adviseLabels(nodeSelector map[string]string) string {
	set := SetByPeople(nodeSelector)
	if len(set) == 0 {
		return ""
	}
	command := "kubectl label nodes NODE " + strings.Join(pairs(set), " ")
	if len(set) < len(nodeSelector) {
		given := maps.Clone(nodeSelector)
		maps.DeleteFunc(given, func(key, _ string) bool { _, isSet := set[key]; return isSet })
		return "label one that has " + strings.Join(pairs(given), ",") + ": " + command
	}
	return "label one with " + command
}

func pairs(labels map[string]string) []string {
	list := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, key+"="+labels[key])
	}
	return list
}

// describe says what the taint keeps the pods off, and what to do.
func (t *TaintCount) describe() string {
	if strings.HasPrefix(t.Taint, lifecycleTaints) {
		return fmt.Sprintf("%d more are out of service for now, by the taint %s", t.Nodes, t.Taint)
	}
	text := fmt.Sprintf("%d more have the untolerated taint %s", t.Nodes, t.Taint)
	if t.Nodes == 1 {
		text = "1 more has the untolerated taint " + t.Taint
	}
	if others := t.Nodes - t.Alone; others > 0 {
		return fmt.Sprintf("%s, %d of them others too: add tolerations", text, others)
	}
	return text + ": add a toleration"
}

// describeNeverTogether says which labels no node has together, and whose they
// are: a policy's, or the DaemonSet's own.
func (h *hands) describeNeverTogether(keys []string) string {
	wants := make([]string, 0, len(keys))
	for _, key := range keys {
		by := "its own"
		if claim := h.claims.label(key); claim != nil {
			by = fmt.Sprintf("policy %q", claim.policy)
		}
		wants = append(wants, fmt.Sprintf("%s=%s (%s)", key, h.template.NodeSelector[key], by))
	}
	last := len(wants) - 1
	if last == 1 {
		return "no node has both " + wants[0] + " and " + wants[1]
	}
	return "no node has all of " + strings.Join(wants[:last], ", ") + " and " + wants[last]
}
