package placement

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Untolerated returns the first taint, as key=value:Effect, that keeps the pods
// which the DaemonSet controller makes of a template off a node; it is empty when
// there is none. Such pods tolerate what the template tolerates, and what the
// controller adds (k8s.io/kubernetes pkg/controller/daemon/util
// AddOrUpdateDaemonPodTolerations).
func Untolerated(taints []corev1.Taint, t *Template) string {
	for _, taint := range taints {
		if Blocks(taint) && !toleratedBy(t, taint) {
			return taint.ToString()
		}
	}
	return ""
}

// Evicted says whether such pods, where they run already, must go because of the
// taints: those of the effect NoSchedule let them stay until they are replaced.
func Evicted(taints []corev1.Taint, t *Template) bool {
	return slices.ContainsFunc(taints, func(taint corev1.Taint) bool {
		return taint.Effect == corev1.TaintEffectNoExecute && !toleratedBy(t, taint)
	})
}

func toleratedBy(t *Template, taint corev1.Taint) bool {
	return toleratedByAny(taint, t.Tolerations) || toleratedByAny(taint, controllerTolerations) ||
		t.HostNetwork && tolerates(hostNetworkToleration, taint)
}

// Blocks says whether a taint can keep a pod off a node at all.
func Blocks(taint corev1.Taint) bool {
	return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
}

var (
	controllerTolerations = []corev1.Toleration{
		{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
		{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
		{Key: corev1.TaintNodeDiskPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodePIDPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
		{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
	}
	hostNetworkToleration = corev1.Toleration{
		Key: corev1.TaintNodeNetworkUnavailable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule,
	}
)

func toleratedByAny(taint corev1.Taint, tolerations []corev1.Toleration) bool {
	return slices.ContainsFunc(tolerations, func(t corev1.Toleration) bool { return tolerates(t, taint) })
}

// tolerates is corev1.Toleration's ToleratesTaint, which wants a logger, with the
// alpha feature TaintTolerationComparisonOperators off, as it is by default.
func tolerates(t corev1.Toleration, taint corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		return t.Value == taint.Value
	case corev1.TolerationOpExists:
		return true
	case corev1.TolerationOpLt, corev1.TolerationOpGt:
	}
	return false
}
