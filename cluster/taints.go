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

// dropTainted takes away of the nodes that a template selects now those of which
// its pods do not tolerate the taints, and counts them. Of the same nodes staying,
// nil where nobody asks, keeps those on which pods that run already may stay.
func (x *NodeIndex) dropTainted(now, staying bitmap, template *placement.Template) placement.Blocking {
	tolerations := placement.NewPodTolerations(template)
	blocking := placement.Blocking{}
	for _, group := range x.taints {
		blocked := group.nodes.countIn(now)
		if blocked == 0 {
			continue
		}
		untolerated := tolerations.Untolerated(group.taints)
		if len(untolerated) == 0 {
			continue
		}
		group.nodes.removeFrom(now)
		blocking.Add(untolerated, blocked)
		if staying != nil && placement.Evict(untolerated) {
			group.nodes.removeFrom(staying)
		}
	}
	return blocking
}
