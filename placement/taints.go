package placement

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// PodTolerations are those of the pods which the DaemonSet controller makes of a
// template: what the template tolerates, and what the controller adds
// (k8s.io/kubernetes pkg/controller/daemon/util AddOrUpdateDaemonPodTolerations).
type PodTolerations struct {
	template *Template
	// index has the template's, where they are many, and keys has their keys.
	index map[corev1.Toleration]bool
	keys  map[string]bool
}

// AreOf says whether those of another template are the same.
func (p *PodTolerations) AreOf(t *Template) bool {
	return t.HostNetwork == p.template.HostNetwork && slices.EqualFunc(t.Tolerations, p.template.Tolerations, equalTolerations)
}

// manyTolerations is more than is worth looking at one after the other.
const manyTolerations = 16

// NewPodTolerations returns the tolerations of the pods made of a template.
func NewPodTolerations(t *Template) PodTolerations {
	p := PodTolerations{template: t}
	if len(t.Tolerations) <= manyTolerations {
		return p
	}
	p.index = make(map[corev1.Toleration]bool, len(t.Tolerations))
	p.keys = make(map[string]bool, len(t.Tolerations))
	for _, toleration := range t.Tolerations {
		p.keys[toleration.Key] = true
		p.index[tolerationOfTaints(toleration)] = true
	}
	return p
}

// tolerationOfTaints is a toleration without what makes no difference to the
// taints that it tolerates.
func tolerationOfTaints(t corev1.Toleration) corev1.Toleration {
	t.TolerationSeconds = nil
	t.Operator = operator(t)
	if t.Operator == corev1.TolerationOpExists {
		t.Value = ""
	}
	return t
}

// has says whether one of the template's own tolerates the taint.
func (p *PodTolerations) has(taint corev1.Taint) bool {
	if p.index == nil {
		return toleratedByAny(taint, p.template.Tolerations)
	}
	for _, key := range []string{taint.Key, ""} {
		if !p.keys[key] {
			continue
		}
		for _, effect := range []corev1.TaintEffect{taint.Effect, ""} {
			if p.index[corev1.Toleration{Key: key, Effect: effect, Operator: corev1.TolerationOpExists}] ||
				p.index[corev1.Toleration{Key: key, Effect: effect, Operator: corev1.TolerationOpEqual, Value: taint.Value}] {
				return true
			}
		}
	}
	return false
}

// Untolerated returns those of a node's taints that keep the pods off it; nil when
// there are none.
func (p *PodTolerations) Untolerated(taints []corev1.Taint) []corev1.Taint {
	var untolerated []corev1.Taint
	for _, taint := range taints {
		if Blocks(taint) && !p.tolerate(taint) {
			untolerated = append(untolerated, taint)
		}
	}
	return untolerated
}

// TolerateAll says whether none of a node's taints keeps the pods off it.
func (p *PodTolerations) TolerateAll(taints []corev1.Taint) bool {
	return !slices.ContainsFunc(taints, func(taint corev1.Taint) bool { return Blocks(taint) && !p.tolerate(taint) })
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
		taint := untolerated[i].ToString()
		count := b[taint]
		count.Taint = taint
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

// AreEvicted says whether the pods, where they run already, must go because of the
// taints: those of the effect NoSchedule let them stay until they are replaced.
func (p *PodTolerations) AreEvicted(taints []corev1.Taint) bool {
	return slices.ContainsFunc(taints, func(taint corev1.Taint) bool {
		return taint.Effect == corev1.TaintEffectNoExecute && !p.tolerate(taint)
	})
}

// Evict says whether pods that run already must go because of taints, none of them
// tolerated.
func Evict(untolerated []corev1.Taint) bool {
	return slices.ContainsFunc(untolerated, func(taint corev1.Taint) bool { return taint.Effect == corev1.TaintEffectNoExecute })
}

func (p *PodTolerations) tolerate(taint corev1.Taint) bool {
	return p.has(taint) || toleratedByAny(taint, controllerTolerations) ||
		p.template.HostNetwork && tolerates(hostNetworkToleration, taint)
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
