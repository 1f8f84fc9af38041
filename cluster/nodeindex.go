package cluster

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// NodeIndex knows for each node label, key and value, which nodes have it. It
// answers placement.Nodes without a look at the nodes: what one key=value costs
// does not depend on how many nodes there are.
//
// A NodeIndex is immutable, and its zero value has no nodes.
type NodeIndex struct {
	ids   map[string]uint32 // by node name
	nodes []indexedNode     // by id
	free  []uint32          // ids of nodes that are gone
	keys  map[string]postings
}

type indexedNode struct {
	name   string
	labels map[string]string
}

// postings is the nodes that have a label key, all of them and by value.
type postings struct {
	all    nodeSet
	values map[string]nodeSet
}

// NodeChange says what a node's labels are now, or that the node is gone. The
// index keeps Labels: they must not be changed afterwards.
type NodeChange struct {
	Name   string
	Labels map[string]string
	Gone   bool
}

// Len is the number of nodes.
func (x *NodeIndex) Len() int { return len(x.ids) }

// Apply returns the index after the changes, of which the last to a node
// counts. It costs what the changed labels cost: everything else is shared with
// x, and x itself is returned when nothing changed.
func (x *NodeIndex) Apply(changes []NodeChange) *NodeIndex {
	last := make(map[string]int, len(changes))
	for i, change := range changes {
		last[change.Name] = i
	}
	b := indexBuilder{old: x, next: *x, edits: map[string]*keyEdit{}}
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
			b.relabel(id, change.Labels)
		case !change.Gone:
			b.add(change)
		}
	}
	return b.build()
}

// indexBuilder gathers what a batch of changes does to each label, so that each
// set of nodes is rebuilt once a batch.
type indexBuilder struct {
	old   *NodeIndex
	next  NodeIndex
	edits map[string]*keyEdit
	// What next has in common with old until the first write.
	ownIDs, ownNodes bool
}

type keyEdit struct {
	all    setEdit
	values map[string]*setEdit
}

type setEdit struct{ add, remove []uint32 }

func (e *setEdit) take(id uint32) { e.add = append(e.add, id) }

func (e *setEdit) drop(id uint32) { e.remove = append(e.remove, id) }

func (b *indexBuilder) add(change NodeChange) {
	b.writeIDs()
	b.writeNodes()
	node := indexedNode{name: change.Name, labels: change.Labels}
	id := uint32(len(b.next.nodes)) //nolint:gosec // there are not 4 billion nodes
	if n := len(b.next.free); n > 0 {
		id, b.next.free = b.next.free[n-1], b.next.free[:n-1]
		b.next.nodes[id] = node
	} else {
		b.next.nodes = append(b.next.nodes, node)
	}
	b.next.ids[change.Name] = id
	b.editLabels(id, nil, change.Labels)
}

func (b *indexBuilder) remove(id uint32) {
	b.writeIDs()
	b.writeNodes()
	gone := b.next.nodes[id]
	b.next.nodes[id] = indexedNode{}
	b.next.free = append(b.next.free, id)
	delete(b.next.ids, gone.name)
	b.editLabels(id, gone.labels, nil)
}

func (b *indexBuilder) relabel(id uint32, labels map[string]string) {
	was := b.next.nodes[id].labels
	// Kubelets report the status of every node all the time; labels seldom change.
	if maps.Equal(was, labels) {
		return
	}
	b.writeNodes()
	b.next.nodes[id].labels = labels
	b.editLabels(id, was, labels)
}

func (b *indexBuilder) editLabels(id uint32, was, is map[string]string) {
	for key, value := range was {
		now, kept := is[key]
		if kept && now == value {
			continue
		}
		edit := b.key(key)
		edit.value(value).drop(id)
		if !kept {
			edit.all.drop(id)
		}
	}
	for key, value := range is {
		before, kept := was[key]
		if kept && before == value {
			continue
		}
		edit := b.key(key)
		edit.value(value).take(id)
		if !kept {
			edit.all.take(id)
		}
	}
}

func (b *indexBuilder) key(key string) *keyEdit {
	edit := b.edits[key]
	if edit == nil {
		edit = &keyEdit{values: map[string]*setEdit{}}
		b.edits[key] = edit
	}
	return edit
}

func (e *keyEdit) value(value string) *setEdit {
	edit := e.values[value]
	if edit == nil {
		edit = &setEdit{}
		e.values[value] = edit
	}
	return edit
}

func (b *indexBuilder) writeIDs() {
	if !b.ownIDs {
		b.ownIDs = true
		b.next.ids = cloneMap(b.old.ids)
	}
}

func (b *indexBuilder) writeNodes() {
	if !b.ownNodes {
		b.ownNodes = true
		b.next.nodes = slices.Clone(b.old.nodes)
		b.next.free = slices.Clone(b.old.free)
	}
}

func (b *indexBuilder) build() *NodeIndex {
	if !b.ownNodes {
		return b.old
	}
	b.next.keys = cloneMap(b.old.keys)
	for key, edit := range b.edits {
		changed := b.next.keys[key].with(edit)
		if changed.all.n == 0 {
			delete(b.next.keys, key)
			continue
		}
		b.next.keys[key] = changed
	}
	return &b.next
}

func (p postings) with(edit *keyEdit) postings {
	next := postings{all: edit.all.apply(p.all), values: cloneMap(p.values)}
	for value, change := range edit.values {
		set := change.apply(next.values[value])
		if set.n == 0 {
			delete(next.values, value)
			continue
		}
		next.values[value] = set
	}
	return next
}

func (e *setEdit) apply(s nodeSet) nodeSet {
	if len(e.add) == 0 && len(e.remove) == 0 {
		return s
	}
	slices.Sort(e.add)
	slices.Sort(e.remove)
	return s.with(e.add, e.remove)
}

// cloneMap is maps.Clone that can be written to.
func cloneMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return maps.Clone(m)
}

// Count implements placement.Nodes.
func (x *NodeIndex) Count(spec *corev1.PodSpec) (matching, total int) {
	total = x.Len()
	sets := make([]nodeSet, 0, 8)
	for key, value := range spec.NodeSelector {
		set := x.keys[key].values[value]
		if set.n == 0 {
			return 0, total
		}
		sets = append(sets, set)
	}
	required := requiredNodeSelector(spec.Affinity)
	switch {
	case required != nil:
		return x.evaluate(required, sets).count(), total
	case len(sets) > 0:
		return countAll(sets), total
	}
	return total, total
}

func requiredNodeSelector(affinity *corev1.Affinity) *corev1.NodeSelector {
	if affinity == nil || affinity.NodeAffinity == nil {
		return nil
	}
	return affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}
