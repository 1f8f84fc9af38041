package cluster

import (
	"maps"
	"slices"

	"berth.dev/berth/placement"
)

// Survey implements placement.Nodes.
func (x *NodeIndex) Survey(before, after *placement.Template) placement.Survey {
	survey := placement.Survey{Total: x.Len()}
	compared := numbersByKey{}
	nodes := nodesOfChange{now: x.selected(after, compared)}
	selected := nodes.now.count()
	if selected == 0 {
		survey.Missing, survey.Closest = x.closest(after.NodeSelector)
		if survey.Missing == "" {
			survey.NeverTogether = x.neverTogether(after.NodeSelector)
		}
	}
	if before != nil {
		nodes.staying, nodes.earlier = slices.Clone(nodes.now), x.selected(before, compared)
	}
	survey.Taint = x.dropTainted(&nodes, before, after).Most()
	survey.Eligible = nodes.now.count()
	survey.Blocked = selected - survey.Eligible
	if before != nil {
		survey.Before = nodes.earlier.count()
		nodes.earlier.remove(nodes.staying)
		survey.Lost = nodes.earlier.count()
	}
	if survey.Eligible > 0 && survey.Eligible < survey.Total {
		survey.Split = x.split(placement.SetByPeople(after.NodeSelector))
	}
	return survey
}

// selected returns the nodes that the pod selects by name and labels, whatever
// their taints.
func (x *NodeIndex) selected(template *placement.Template, compared numbersByKey) bitmap {
	nodes := x.labelled(template.NodeSelector)
	if template.NodeName != "" {
		id, exists := x.ids[template.NodeName]
		nodes.keepOne(id, exists)
	}
	if template.Affinity.Required() {
		return x.matching(template.Affinity.Terms, nodes, compared)
	}
	return nodes
}

// labelled returns the nodes that have all of the labels.
func (x *NodeIndex) labelled(labels map[string]string) bitmap {
	nodes := x.noNodes()
	if len(labels) == 0 {
		x.addAll(nodes)
	}
	narrowed := false
	for key, value := range labels {
		set := x.keys[key].values[value]
		if narrowed {
			set.keepIn(nodes)
		} else {
			set.addTo(nodes)
			narrowed = true
		}
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

// split returns the first pool, by name, of which some nodes have the labels and
// some have not.
func (x *NodeIndex) split(labels map[string]string) placement.PoolShare {
	var first placement.PoolShare
	if len(labels) == 0 {
		return first
	}
	labelled := x.labelled(labels)
	for _, key := range poolLabels {
		for value, nodes := range x.keys[key].values {
			share := placement.PoolShare{Selected: nodes.countIn(labelled), Total: nodes.n}
			if share.Selected == 0 || share.Selected == share.Total {
				continue
			}
			if share.Pool = key + "=" + value; first.Pool == "" || share.Pool < first.Pool {
				first = share
			}
		}
	}
	return first
}

// neverTogether returns the keys of labels that no node has together; nil where
// some node has them all.
func (x *NodeIndex) neverTogether(nodeSelector map[string]string) []string {
	keys := slices.Sorted(maps.Keys(nodeSelector))
	together := x.noNodes()
	x.addAll(together)
	for i, key := range keys {
		x.keys[key].values[nodeSelector[key]].keepIn(together)
		if together.count() > 0 {
			continue
		}
		for _, earlier := range keys[:i] {
			both := x.labelled(map[string]string{earlier: nodeSelector[earlier], key: nodeSelector[key]})
			if both.count() == 0 {
				return []string{earlier, key}
			}
		}
		return keys[:i+1]
	}
	return nil
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
