package report

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/coverage"
)

// MapBuilder takes one DaemonSet after the other.
type MapBuilder struct {
	nodes   []mapNode
	at      map[string]int // in nodes, by name
	reasons []MapReason
	known   map[string]int // in reasons
	rows    []MapRow
}

// mapNode is a node on the way to its column.
type mapNode struct {
	name, pool, zone string
	gone             bool
	allocatable      Amount
	requests         Amount
	pods             int
}

// Names of pools that are none.
const (
	noPool   = "no pool"
	gonePool = "nodes that are gone"
)

// NewMapBuilder returns a builder of a map of these nodes. The pool of each is the first of the labels that it has.
func NewMapBuilder(nodes []*corev1.Node, poolLabels []string) *MapBuilder {
	b := &MapBuilder{at: make(map[string]int, len(nodes)), reasons: []MapReason{{}}, known: map[string]int{}}
	for _, node := range nodes {
		b.at[node.Name] = len(b.nodes)
		b.nodes = append(b.nodes, mapNode{
			name: node.Name, pool: coverage.PoolOf(node, poolLabels), zone: node.Labels[corev1.LabelTopologyZone], allocatable: AmountOf(node.Status.Allocatable),
		})
	}
	return b
}

// Add adds a DaemonSet: who placed it, what a pod of it requests, and how things stand on each node.
func (b *MapBuilder) Add(e *Explanation, requests Amount, nodes []coverage.Node) {
	row := MapRow{Namespace: e.Namespace, Name: e.Name, Requests: requests, Explained: e, Counts: coverage.Count(nodes)}
	row.Cells = make([]int, len(b.nodes), max(len(b.nodes), len(nodes)))
	said := newCellSayings(e)
	for i := range nodes {
		n := &nodes[i]
		at, known := b.at[n.Name]
		if !known {
			at = len(b.nodes)
			b.at[n.Name] = at
			b.nodes = append(b.nodes, mapNode{name: n.Name, gone: true})
		}
		for at >= len(row.Cells) { // other DaemonSets have pods on nodes that are gone
			row.Cells = append(row.Cells, 0)
		}
		row.Cells[at] = b.intern(said.of(n))
		if node := &b.nodes[at]; !node.gone && (n.State.ShouldRun() || n.Pod != "") {
			node.requests.add(requests, 1)
			node.pods++
		}
	}
	b.rows = append(b.rows, row)
}

// intern returns the number of a reason that is said again and again.
func (b *MapBuilder) intern(said *cellSaying) int {
	if said.number > 0 {
		return said.number
	}
	r := said.reason
	key := string(r.State) + "\x00" + r.By + "\x00" + strings.Join(r.Lines, "\x00")
	if _, found := b.known[key]; !found {
		b.known[key] = len(b.reasons)
		b.reasons = append(b.reasons, r)
	}
	said.number = b.known[key]
	return said.number
}

// Map returns the map of everything that was added.
func (b *MapBuilder) Map() *Map {
	m := &Map{Rows: b.rows, Reasons: b.reasons}
	slices.SortFunc(m.Rows, func(x, y MapRow) int {
		return cmp.Or(naturally(x.Namespace, y.Namespace), naturally(x.Name, y.Name))
	})
	order := make([]int, len(b.nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return b.nodes[i].compare(&b.nodes[j]) })
	b.fold(m, order)
	m.count()
	return m
}

// compare puts nodes in the order of pools, zones and names; those in no pool come last, and then those that are gone.
func (n *mapNode) compare(other *mapNode) int {
	last := func(n *mapNode) int {
		switch {
		case n.gone:
			return 2
		case n.pool == "":
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(last(n), last(other)), cmp.Compare(n.pool, other.pool), cmp.Compare(n.zone, other.zone), naturally(n.name, other.name))
}

// naturally compares names as people do: n-2 comes before n-10.
func naturally(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x > 0 && y > 0 {
			n, m := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
			if c := cmp.Or(cmp.Compare(len(n), len(m)), cmp.Compare(n, m), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is how many a text begins with.
func digits(text string) int {
	i := 0
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return i
}

// fold makes the columns of the nodes in their order.
func (b *MapBuilder) fold(m *Map, order []int) {
	cells := make([][]int, len(m.Rows)) // of the nodes
	for r := range m.Rows {
		cells[r], m.Rows[r].Cells = m.Rows[r].Cells, nil
	}
	columns := map[string]int{} // of the pool and zone that is being folded
	key := make([]byte, 0, len(m.Rows)*4)
	for place, i := range order {
		n := &b.nodes[i]
		newPool := place == 0 || n.pool != b.nodes[order[place-1]].pool || n.gone != b.nodes[order[place-1]].gone
		if newPool {
			m.Pools = append(m.Pools, n.newPool())
		}
		if newPool || n.zone != b.nodes[order[place-1]].zone {
			clear(columns)
		}
		m.Pools[len(m.Pools)-1].add(n)
		key = key[:0]
		for r := range cells {
			key = binary.AppendUvarint(key, uint64(cellAt(cells[r], i))) //nolint:gosec // a number of a reason is none below 0
		}
		if at, found := columns[string(key)]; found {
			m.Columns[at].Nodes = append(m.Columns[at].Nodes, n.name)
			continue
		}
		columns[string(key)] = len(m.Columns)
		m.Columns = append(m.Columns, MapColumn{Pool: len(m.Pools) - 1, Zone: n.zone, Nodes: []string{n.name}, Requests: n.requests})
		for r := range cells {
			m.Rows[r].Cells = append(m.Rows[r].Cells, cellAt(cells[r], i))
		}
	}
}

// cellAt is the cell of a node, which has none where it was gone before the row was added.
func cellAt(cells []int, node int) int {
	if node < len(cells) {
		return cells[node]
	}
	return 0
}

func (n *mapNode) newPool() MapPool {
	_, name, _ := strings.Cut(n.pool, "=")
	switch {
	case n.gone:
		name = gonePool
	case n.pool == "":
		name = noPool
	}
	return MapPool{Name: name, Label: n.pool, Gone: n.gone}
}

func (p *MapPool) add(n *mapNode) {
	p.Nodes++
	p.Pods += n.pods
	p.Requests.add(n.requests, 1)
	p.Allocatable.add(n.allocatable, 1)
}

// count adds up. A node that is gone is none.
func (m *Map) count() {
	for _, column := range m.Columns {
		if !m.Pools[column.Pool].Gone {
			m.Totals.Nodes += len(column.Nodes)
		}
	}
	m.Totals.DaemonSets = len(m.Rows)
	for r := range m.Rows {
		row := &m.Rows[r]
		m.Totals.ShouldRun += row.Counts.ShouldRun
		m.Totals.Running += row.Counts.Running
		for c, reason := range row.Cells {
			switch nodes := len(m.Columns[c].Nodes); m.Reasons[reason].State {
			case coverage.OnItsWay:
				m.Totals.OnItsWay += nodes
			case coverage.NotReady, coverage.Unschedulable, coverage.Missing:
				m.Totals.Missing += nodes
			case coverage.Running, coverage.WouldRun, coverage.RunsUntilReplaced, coverage.Leaving, coverage.Tainted, coverage.Excluded:
			}
		}
	}
}
