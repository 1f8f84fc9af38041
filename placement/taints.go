package placement

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Untolerated returns the taints that keep the pods which the DaemonSet
// controller makes of a template off a node; nil when there are none. Such pods
// tolerate what the template tolerates, and what the controller adds
// (k8s.io/kubernetes pkg/controller/daemon/util AddOrUpdateDaemonPodTolerations).
func Untolerated(taints []corev1.Taint, t *Template) []corev1.Taint {
	var untolerated []corev1.Taint
	for _, taint := range taints {
		if Blocks(taint) && !toleratedBy(t, taint) {
			untolerated = append(untolerated, taint)
		}
	}
	return untolerated
}

// TaintCount is a taint that is not tolerated and the number of nodes, of those
// that have the labels, which it keeps the pods off.
type TaintCount struct {
	// Taint is key=value:Effect.
	Taint string
	// Nodes is how many of them have the taint, and Alone how many have no other
	// taint that is not tolerated.
	Nodes, Alone int
}

// Blocking counts, by taint, the nodes that taints keep the pods off.
type Blocking map[string]TaintCount

// Add counts so many nodes that have the same taints, none of them tolerated.
func (b Blocking) Add(untolerated []corev1.Taint, nodes int) {
	for i := range untolerated {
		count := b[untolerated[i].ToString()]
		count.Taint = untolerated[i].ToString()
		count.Nodes += nodes
		if len(untolerated) == 1 {
			count.Alone += nodes
		}
		b[count.Taint] = count
	}
}

// Most returns the taint that most nodes have, the first by name of equals.
func (b Blocking) Most() TaintCount {
	var most TaintCount
	for _, count := range b {
		if count.Nodes > most.Nodes || count.Nodes == most.Nodes && count.Taint < most.Taint {
			most = count
		}
	}
	return most
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
