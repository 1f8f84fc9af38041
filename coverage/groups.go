package coverage

import (
	"cmp"
	"slices"
	"strings"
)

// StateGroup is the nodes that are in one state for one reason.
type StateGroup struct {
	State  State     `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Nodes  []NodePod `json:"nodes"`
}

// NodePod is a node, and the pod that is meant for it, if there is one.
type NodePod struct {
	Node string `json:"node"`
	Pod  string `json:"pod,omitempty"`
}

// Grouped puts nodes together that are in one state for one reason: the states in their order, then the groups with the most nodes
// first.
func Grouped(nodes []Node) []StateGroup {
	type key struct {
		state  State
		reason string
	}
	at := map[key]int{}
	var groups []StateGroup
	for i := range nodes {
		n := &nodes[i]
		k := key{n.State, n.Reason}
		if _, found := at[k]; !found {
			at[k] = len(groups)
			groups = append(groups, StateGroup{State: n.State, Reason: n.Reason})
		}
		group := &groups[at[k]]
		group.Nodes = append(group.Nodes, NodePod{n.Name, n.Pod})
	}
	order := States()
	slices.SortStableFunc(groups, func(a, b StateGroup) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)),
			cmp.Compare(len(b.Nodes), len(a.Nodes)), strings.Compare(a.Reason, b.Reason))
	})
	return groups
}

// Counts is how many nodes there are.
type Counts struct {
	Total int `json:"total"`
	// ShouldRun is those that a pod should run on, and Running those of them where one does and is available.
	ShouldRun int `json:"shouldRun"`
	Running   int `json:"running"`
}

// Count counts nodes. One that is gone, and that a pod is still on, is none.
func Count(nodes []Node) Counts {
	var c Counts
	for i := range nodes {
		if nodes[i].State == Leaving && nodes[i].Why == nil {
			continue
		}
		c.Total++
		if nodes[i].State.ShouldRun() {
			c.ShouldRun++
		}
		if nodes[i].State == Running {
			c.Running++
		}
	}
	return c
}
