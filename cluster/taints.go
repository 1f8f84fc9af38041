package cluster

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/placement"
)

// taintGroup is the nodes that have the same taints. There are few groups,
// however many nodes: taints come with a pool, or from a handful of conditions.
type taintGroup struct {
	taints []corev1.Taint
	nodes  nodeSet
}

// BlockingTaints returns those of the taints that can keep a daemon pod off a
// node, without the time at which they came. Others would split the groups for
// nothing: the value of the cluster autoscaler's PreferNoSchedule is a time.
func BlockingTaints(taints []corev1.Taint) []corev1.Taint {
	var blocking []corev1.Taint
	for _, taint := range taints {
		if placement.Blocks(taint) {
			blocking = append(blocking, corev1.Taint{Key: taint.Key, Value: taint.Value, Effect: taint.Effect})
		}
	}
	return blocking
}

// groupKey names a group.
func groupKey(taints []corev1.Taint) string {
	var key []byte
	for _, taint := range taints {
		key = strconv.AppendQuote(key, taint.Key)
		key = strconv.AppendQuote(key, taint.Value)
		key = strconv.AppendQuote(key, string(taint.Effect))
	}
	return string(key)
}

// groupEdit is what a batch of changes does to a taintGroup.
type groupEdit struct {
	setEdit
	taints []corev1.Taint
}

// editGroups moves a node from one group to another; an empty key is no group.
func (b *indexBuilder) editGroups(id uint32, was, is string, taints []corev1.Taint) {
	if was == is {
		return
	}
	if was != "" {
		b.group(was).drop(id)
	}
	if is != "" {
		edit := b.group(is)
		edit.taints = taints
		edit.take(id)
	}
}

func (b *indexBuilder) group(key string) *groupEdit {
	edit := b.groups[key]
	if edit == nil {
		edit = &groupEdit{taints: b.old.taints[key].taints}
		b.groups[key] = edit
	}
	return edit
}

// keepTolerated keeps those of the nodes on which the pod tolerates the taints.
func (x *NodeIndex) keepTolerated(nodes bitmap, template *placement.Template) {
	tolerations := placement.NewPodTolerations(template)
	for _, group := range x.taints {
		if group.nodes.countIn(nodes) > 0 && !tolerations.TolerateAll(group.taints) {
			group.nodes.removeFrom(nodes)
		}
	}
}

// nodesOfChange are the nodes that a template selects now, those of them on which
// pods that run already may stay, and the nodes that it selected before. Where
// there is no template before, only now is there.
type nodesOfChange struct{ now, staying, earlier bitmap }

// dropTainted takes away the nodes of which the pods do not tolerate the taints, and
// counts those that are blocked now. It looks at the taints of each group once.
func (x *NodeIndex) dropTainted(nodes *nodesOfChange, before, after *placement.Template) placement.Blocking {
	tolerations := placement.NewPodTolerations(after)
	earlier := &tolerations
	if before != nil && !tolerations.AreOf(before) {
		earlier = new(placement.NewPodTolerations(before))
	}
	blocking := placement.Blocking{}
	for _, group := range x.taints {
		blocked := group.nodes.countIn(nodes.now)
		if blocked == 0 && (before == nil || group.nodes.countIn(nodes.earlier) == 0) {
			continue
		}
		untolerated := tolerations.Untolerated(group.taints)
		if blocked > 0 && len(untolerated) > 0 {
			group.nodes.removeFrom(nodes.now)
			blocking.Add(untolerated, blocked)
		}
		if before == nil {
			continue
		}
		if placement.Evict(untolerated) {
			group.nodes.removeFrom(nodes.staying)
		}
		kept := len(untolerated) == 0
		if earlier != &tolerations {
			kept = earlier.TolerateAll(group.taints)
		}
		if !kept {
			group.nodes.removeFrom(nodes.earlier)
		}
	}
	return blocking
}
