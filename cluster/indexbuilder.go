package cluster

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/validate/content"
)

// indexBuilder gathers what a batch of changes does to each label and to each set
// of taints, so that each set of nodes is rebuilt once a batch.
type indexBuilder struct {
	old    *NodeIndex
	next   NodeIndex
	edits  map[string]*keyEdit
	groups map[string]*groupEdit
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
	id := uint32(len(b.next.nodes)) //nolint:gosec // there are not 4 billion nodes
	if n := len(b.next.free); n > 0 {
		id, b.next.free = b.next.free[n-1], b.next.free[:n-1]
	} else {
		b.next.nodes = append(b.next.nodes, nil)
	}
	b.next.ids[change.Name] = id
	b.next.nodes[id] = &indexedNode{name: change.Name}
	b.update(id, change)
}

func (b *indexBuilder) remove(id uint32) {
	b.writeIDs()
	delete(b.next.ids, b.next.nodes[id].name)
	b.update(id, NodeChange{})
	b.writeNodes()
	b.next.nodes[id] = nil
	b.next.free = append(b.next.free, id)
}

func (b *indexBuilder) update(id uint32, change NodeChange) {
	was := b.next.nodes[id]
	taints := BlockingTaints(change.Taints)
	group := groupKey(taints)
	// Kubelets report the status of every node all the time; these seldom change.
	if was.group == group && maps.Equal(was.labels, change.Labels) {
		return
	}
	b.writeNodes()
	b.next.nodes[id] = &indexedNode{was.name, change.Labels, group}
	b.editLabels(id, was.labels, change.Labels)
	b.editGroups(id, was.group, group, taints)
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
		was, known := b.next.keys[key]
		if !known {
			was.valid = len(content.IsLabelKey(key)) == 0
		}
		changed := was.with(edit)
		if changed.all.n == 0 {
			delete(b.next.keys, key)
			continue
		}
		b.next.keys[key] = changed
	}
	if len(b.groups) > 0 {
		b.next.taints = cloneMap(b.old.taints)
	}
	for key, edit := range b.groups {
		nodes := edit.apply(b.next.taints[key].nodes)
		if nodes.n == 0 {
			delete(b.next.taints, key)
			continue
		}
		b.next.taints[key] = taintGroup{edit.taints, nodes}
	}
	return &b.next
}

func (p postings) with(edit *keyEdit) postings {
	next := postings{valid: p.valid, all: edit.all.apply(p.all), values: cloneMap(p.values)}
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
