package coverage

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// unscheduled is the state of a pod that no node has yet.
func unscheduled(pod *corev1.Pod) (State, string) {
	scheduled := conditionOf(pod, corev1.PodScheduled)
	switch {
	case len(pod.Spec.SchedulingGates) > 0:
		return Missing, "the pod waits for its scheduling gate " + pod.Spec.SchedulingGates[0].Name
	case scheduled == nil || scheduled.Status != corev1.ConditionFalse:
		return OnItsWay, "the pod waits for the scheduler"
	case scheduled.Reason != corev1.PodReasonUnschedulable:
		return OnItsWay, "the scheduler tries again" + because(scheduled.Reason, scheduled.Message)
	}
	return Unschedulable, noRoom(scheduled.Message)
}

// Of "0/6 nodes are available: 1 Insufficient cpu, 5 node(s) didn't satisfy plugin(s) [NodeAffinity]. no new claims to deallocate,
// preemption: 0/6 nodes are available: …", which is about all nodes, one reason is about the node that the pod is meant for.
var (
	schedulerSays   = regexp.MustCompile(`^0/\d+ nodes are available: (.*?)\.(?: |$)`)
	schedulerCounts = regexp.MustCompile(`^\d+ `)
	aboutOthers     = regexp.MustCompile(`NodeAffinity|didn't match Pod's node affinity/selector`)
	resources       = regexp.MustCompile(`^(Insufficient |Too many pods)`)
	otherPods       = regexp.MustCompile(`anti-affinity|pod affinity|free ports|topology spread`)
)

// noRoom is what the scheduler's message says of the node, and which kind of reason that is.
func noRoom(message string) string {
	said := schedulerSays.FindStringSubmatch(message)
	if said == nil {
		return "the scheduler says: " + message
	}
	var reasons []string
	for reason := range strings.SplitSeq(said[1], ", ") {
		if !aboutOthers.MatchString(reason) {
			reasons = append(reasons, schedulerCounts.ReplaceAllString(reason, ""))
		}
	}
	if len(reasons) == 0 {
		return "the scheduler says: " + message
	}
	all := strings.Join(reasons, ", ")
	without := func(kind *regexp.Regexp) bool {
		return slices.ContainsFunc(reasons, func(reason string) bool { return !kind.MatchString(reason) })
	}
	switch {
	case !without(resources):
		return "no room on the node: " + all
	case !without(otherPods):
		return "other pods are in the way: " + all
	}
	return "the scheduler says: " + all
}
