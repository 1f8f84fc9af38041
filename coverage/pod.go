package coverage

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// stateOf is how far a pod is that should run, and why it is no further.
func (f *Facts) stateOf(pod *corev1.Pod) (State, string) {
	switch {
	case pod.DeletionTimestamp != nil:
		return OnItsWay, "the pod is being deleted, and another one follows"
	case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		return Missing, "the pod has ended" + because(pod.Status.Reason, pod.Status.Message)
	case pod.Spec.NodeName == "":
		return unscheduled(pod)
	}
	if isReady(pod) {
		if !f.available(pod) {
			return OnItsWay, fmt.Sprintf("the pod is ready, and has to stay so for %d s", f.DaemonSet.Spec.MinReadySeconds)
		}
		return Running, ""
	}
	for _, containers := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range containers {
			if reason := inTheWay(&containers[i]); reason != "" {
				return Missing, fmt.Sprintf("container %s: %s", containers[i].Name, reason)
			}
		}
	}
	if pod.Status.Phase != corev1.PodRunning {
		return OnItsWay, "the pod is starting"
	}
	for i := range pod.Status.ContainerStatuses {
		if c := &pod.Status.ContainerStatuses[i]; !c.Ready {
			return NotReady, fmt.Sprintf("container %s is not ready", c.Name)
		}
	}
	for _, gate := range pod.Spec.ReadinessGates {
		if !isTrue(pod, gate.ConditionType) {
			return NotReady, fmt.Sprintf("readiness gate %s is not met", gate.ConditionType)
		}
	}
	return NotReady, "the pod is not ready"
}

// starting are the reasons for which every container waits for a moment.
var starting = []string{"", "ContainerCreating", "PodInitializing"}

// inTheWay is what keeps a container from running; empty where nothing is known to. What it says of all pods of a DaemonSet is the
// same, so that their nodes are one group.
func inTheWay(c *corev1.ContainerStatus) string {
	switch waiting, ended := c.State.Waiting, c.State.Terminated; {
	case waiting != nil && slices.Contains(starting, waiting.Reason):
		return ""
	case waiting != nil && (waiting.Reason == "ErrImagePull" || waiting.Reason == "ImagePullBackOff"):
		return "image " + c.Image + " cannot be pulled (" + waiting.Reason + ")"
	case waiting != nil && c.LastTerminationState.Terminated != nil:
		return waiting.Reason + ", last ended with " + ending(c.LastTerminationState.Terminated)
	case waiting != nil && waiting.Reason == "CrashLoopBackOff":
		return waiting.Reason // the message names the pod
	case waiting != nil:
		return waiting.Reason + because("", waiting.Message)
	case ended != nil && ended.ExitCode != 0:
		return "ended with " + ending(ended)
	}
	return ""
}

func ending(t *corev1.ContainerStateTerminated) string {
	return fmt.Sprintf("exit code %d (%s)", t.ExitCode, cmp.Or(t.Reason, "Error"))
}

// because joins what is known of a reason.
func because(reason, message string) string {
	switch {
	case reason == "" && message == "":
		return ""
	case reason == "" || message == "":
		return ": " + reason + message
	}
	return ": " + reason + ": " + message
}

func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && isTrue(pod, corev1.PodReady)
}

func isTrue(pod *corev1.Pod, condition corev1.PodConditionType) bool {
	found := conditionOf(pod, condition)
	return found != nil && found.Status == corev1.ConditionTrue
}

func conditionOf(pod *corev1.Pod, condition corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == condition {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// available says whether a pod that is ready has been so for long enough.
func (f *Facts) available(pod *corev1.Pod) bool {
	seconds := time.Duration(f.DaemonSet.Spec.MinReadySeconds) * time.Second
	since := conditionOf(pod, corev1.PodReady).LastTransitionTime
	return seconds == 0 || !since.IsZero() && !since.Add(seconds).After(f.Now)
}

func isReadyNode(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return true // it says nothing
}
