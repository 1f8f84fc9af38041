package cluster

import corev1 "k8s.io/api/core/v1"

// NodeIndex knows for each node label, key and value, and for each set of
// taints, which nodes have it. It answers placement.Nodes by operations on these
// sets, 64 nodes at a time, without a look at any node.
//
// A NodeIndex is immutable, and its zero value has no nodes.
type NodeIndex struct {
	ids    map[string]uint32 // by node name
	nodes  []*indexedNode    // by id; nil where that is free
	free   []uint32          // ids of nodes that are gone
	keys   map[string]postings
	taints map[string]taintGroup
}

// indexedNode is immutable too: a change replaces it.
type indexedNode struct {
	name   string
	labels map[string]string
	group  string // The key of its taintGroup; empty for a node without taints.
}

// postings is the nodes that have a label key, all of them and by value.
type postings struct {
	// valid says that the key is one that a label may have; nodes from files may have others.
	valid  bool
	all    nodeSet
	values map[string]nodeSet
}

// NodeChange says what a node's labels and taints are now, or that the node is
// gone. The index keeps Labels: they must not be changed afterwards.
type NodeChange struct {
	Name   string
	Labels map[string]string
	Taints []corev1.Taint
	Gone   bool
}

// Len is the number of nodes.
func (x *NodeIndex) Len() int { return len(x.ids) }

// Apply returns the index after the changes, of which the last to a node
// counts. It costs what the changed labels and taints cost: everything else is shared with
// x, and x itself is returned when nothing changed.
func (x *NodeIndex) Apply(changes []NodeChange) *NodeIndex {
	last := make(map[string]int, len(changes))
	for i, change := range changes {
		last[change.Name] = i
	}
	b := indexBuilder{old: x, next: *x, edits: map[string]*keyEdit{}, groups: map[string]*groupEdit{}}
	for i, change := range changes {
		// No object of the API server is without a name.
		if change.Name == "" || last[change.Name] != i {
			continue
		}
		id, known := b.next.ids[change.Name]
		switch {
		case change.Gone && known:
			b.remove(id)
		case !change.Gone && known:
			b.update(id, change)
		case !change.Gone:
			b.add(change)
		}
	}
	return b.build()
}
