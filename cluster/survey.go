package cluster

import (
	"berth.dev/berth/placement"
)

// Survey implements placement.Nodes.
func (x *NodeIndex) Survey(before, after *placement.Template) placement.Survey {
	survey := placement.Survey{Total: x.Len()}
	now := x.selected(after)
	selected := now.count()
	if selected == 0 {
		survey.Missing, survey.Closest = x.closest(after.NodeSelector)
	} else if blocking := x.keepTolerated(now, after); blocking != nil {
		survey.Taint = placement.MostFrequent(blocking)
	}
	survey.Eligible = now.count()
	survey.Blocked = selected - survey.Eligible
	if before != nil {
		earlier := x.selected(before)
		x.keepTolerated(earlier, before)
		survey.Before = earlier.count()
		staying := x.selected(after)
		x.dropEvicted(staying, after)
		earlier.remove(staying)
		survey.Lost = earlier.count()
	}
	if survey.Eligible > 0 && survey.Eligible < survey.Total {
		survey.Split = x.split(now)
	}
	return survey
}

// selected returns the nodes that the pod selects by name and labels, whatever
// their taints.
func (x *NodeIndex) selected(template *placement.Template) bitmap {
	nodes := x.noNodes()
	if len(template.NodeSelector) == 0 {
		x.addAll(nodes)
	}
	narrowed := false
	for key, value := range template.NodeSelector {
		set := x.keys[key].values[value]
		if narrowed {
			set.keepIn(nodes)
		} else {
			set.addTo(nodes)
			narrowed = true
		}
	}
	if template.NodeName != "" {
		id, exists := x.ids[template.NodeName]
		nodes.keepOne(id, exists)
	}
	if template.Affinity.Required() {
		return x.matching(template.Affinity.Terms, nodes)
	}
	return nodes
}

func (x *NodeIndex) noNodes() bitmap {
	return make(bitmap, (len(x.nodes)+wordBits-1)/wordBits)
}

func (x *NodeIndex) addAll(nodes bitmap) {
	for i := range nodes {
		nodes[i] = ^uint64(0)
	}
	if rest := len(x.nodes) % wordBits; rest != 0 {
		nodes[len(nodes)-1] = 1<<rest - 1
	}
	for _, id := range x.free {
		nodes.drop(id)
	}
}

var poolLabels = placement.PoolLabels()

// split returns the first pool, by name, of which some nodes are eligible and
// some are not.
func (x *NodeIndex) split(eligible bitmap) placement.PoolShare {
	var first placement.PoolShare
	for _, key := range poolLabels {
		for value, nodes := range x.keys[key].values {
			share := placement.PoolShare{Eligible: nodes.countIn(eligible), Total: nodes.n}
			if share.Eligible == 0 || share.Eligible == share.Total {
				continue
			}
			if share.Pool = key + "=" + value; first.Pool == "" || share.Pool < first.Pool {
				first = share
			}
		}
	}
	return first
}

func (x *NodeIndex) closest(nodeSelector map[string]string) (missing string, closest placement.LabelCount) {
	if len(nodeSelector) == 0 {
		return "", placement.LabelCount{}
	}
	have := make(map[string]map[string]nodeSet, len(x.keys))
	for key, postings := range x.keys {
		have[key] = postings.values
	}
	return placement.FindClosest(nodeSelector, have, func(nodes nodeSet) int { return nodes.n })
}
