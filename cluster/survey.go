package cluster

import (
	"maps"
	"slices"

	"berth.dev/berth/placement"
)

// Survey implements placement.Nodes.
func (x *NodeIndex) Survey(before, after *placement.Template) placement.Survey {
	return (&surveyor{index: x}).Survey(before, after)
}

// surveyor is a NodeIndex that is asked several times about what follows one
// template: where its pods run is found out once.
type surveyor struct {
	index   *NodeIndex
	numbers numbersByKey
	// before is the template that earlier is of.
	before  *placement.Template
	earlier bitmap
}

// Survey implements placement.Nodes.
func (s *surveyor) Survey(before, after *placement.Template) placement.Survey {
	x := s.index
	survey := placement.Survey{Total: x.Len()}
	now := x.selected(after, &s.numbers)
	selected := now.count()
	if selected == 0 {
		survey.Missing, survey.Closest = x.closest(after.NodeSelector)
		if survey.Missing == "" {
			survey.NeverTogether = x.neverTogether(after.NodeSelector)
		}
	}
	stays := before != nil && before.Equal(after)
	var staying bitmap
	if before != nil && !stays {
		staying = slices.Clone(now)
	}
	survey.Taint = x.dropTainted(now, staying, after).Most()
	survey.Eligible = now.count()
	survey.Blocked = selected - survey.Eligible
	switch {
	case stays:
		survey.Before = survey.Eligible
	case before != nil:
		earlier := s.runOn(before)
		survey.Before = earlier.count()
		survey.Lost = survey.Before - earlier.countIn(staying)
	}
	if survey.Eligible > 0 && survey.Eligible < survey.Total {
		survey.Split = x.split(after.NodeSelector)
	}
	return survey
}

// runOn returns the nodes on which the pods of the template before run.
func (s *surveyor) runOn(before *placement.Template) bitmap {
	if s.before != before {
		s.before, s.earlier = before, s.index.eligible(before, &s.numbers)
	}
	return s.earlier
}

// eligible returns the nodes on which the pods of a template run.
func (x *NodeIndex) eligible(template *placement.Template, compared *numbersByKey) bitmap {
	nodes := x.selected(template, compared)
	tolerations := placement.NewPodTolerations(template)
	for _, group := range x.taints {
		if group.nodes.countIn(nodes) > 0 && !tolerations.TolerateAll(group.taints) {
			group.nodes.removeFrom(nodes)
		}
	}
	return nodes
}

// selected returns the nodes that the pod selects by name and labels, whatever
// their taints.
func (x *NodeIndex) selected(template *placement.Template, compared *numbersByKey) bitmap {
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

// split returns the first pool, by name, of which some nodes have those of the
// labels that people set, and some have not.
func (x *NodeIndex) split(nodeSelector map[string]string) placement.PoolShare {
	var first placement.PoolShare
	if !slices.ContainsFunc(poolLabels, func(key string) bool { return len(x.keys[key].values) > 0 }) {
		return first
	}
	labels := placement.SetByPeople(nodeSelector)
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
