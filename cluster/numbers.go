package cluster

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
)

// numbers is the nodes of which a label's value is an integer, in the order of
// these. It answers which nodes have a greater value without a look at each value:
// whoever writes a DaemonSet may compare thousands of times.
type numbers struct {
	sorted []number
	// unions are the nodes of sorted[at:], for some places, the last place first.
	// Between two of them are fewer nodes than a bitmap has words.
	unions []unionFrom
}

type number struct {
	value int64
	nodes nodeSet
}

type unionFrom struct {
	at    int
	nodes bitmap
}

func newNumbers(x *NodeIndex, key string) *numbers {
	n := &numbers{sorted: make([]number, 0, len(x.keys[key].values))}
	for text, nodes := range x.keys[key].values {
		if value, err := strconv.ParseInt(text, 10, 64); err == nil {
			n.sorted = append(n.sorted, number{value, nodes})
		}
	}
	slices.SortFunc(n.sorted, func(a, b number) int { return cmp.Compare(a.value, b.value) })
	union := x.noNodes()
	n.unions = append(n.unions, unionFrom{len(n.sorted), slices.Clone(union)})
	since := 0
	for at, number := range slices.Backward(n.sorted) {
		number.nodes.addTo(union)
		if since += number.nodes.n; since >= len(union) {
			n.unions = append(n.unions, unionFrom{at, slices.Clone(union)})
			since = 0
		}
	}
	return n
}

func (n *numbers) firstAbove(bound int64) int {
	return sort.Search(len(n.sorted), func(i int) bool { return n.sorted[i].value > bound })
}

func (n *numbers) firstNotBelow(bound int64) int {
	return sort.Search(len(n.sorted), func(i int) bool { return n.sorted[i].value >= bound })
}

// from puts the nodes of sorted[at:] into a bitmap, in place of what is in it.
func (n *numbers) from(at int, nodes bitmap) {
	before := sort.Search(len(n.unions), func(i int) bool { return n.unions[i].at < at })
	nearest := n.unions[before-1]
	copy(nodes, nearest.nodes)
	for i := at; i < nearest.at; i++ {
		n.sorted[i].nodes.addTo(nodes)
	}
}
