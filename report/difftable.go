package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/coverage"
)

// diffTable is for a terminal: the sums, the pools, then a line for what moves of a DaemonSet.
func diffTable(w io.Writer, r *DiffReport) error { return diffTabular(w, r, false) }

// diffWide is diffTable with all nodes, and the reasons.
func diffWide(w io.Writer, r *DiffReport) error { return diffTabular(w, r, true) }

func diffTabular(w io.Writer, r *DiffReport, wide bool) error {
	for _, rows := range []grid{r.sums(), r.pools(), r.daemonSets(wide)} {
		if len(rows) < 2 {
			continue
		}
		if err := rows.tabs(w); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	for i := range r.Moves {
		m := &r.Moves[i]
		for _, r := range m.remarks() {
			if _, err := fmt.Fprintf(w, "%s/%s, %s: %s\n  %s\n\n", plain(m.Namespace), plain(m.Name), m.When, r.outcome, Paragraph(r.text)); err != nil {
				return err
			}
		}
	}
	for _, assumed := range r.Assumed {
		if _, err := fmt.Fprintf(w, "note: %s\n\n", plain(assumed)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, r.Summary)
	return err
}

// sums is a row for each moment.
func (r *DiffReport) sums() grid {
	rows := grid{{"WHEN", "DAEMONSETS", "PODS MADE", "PODS DELETED", "STAY", "DENIED", "CPU", "MEMORY"}}
	for i := range r.Totals {
		t := &r.Totals[i]
		row := []string{t.When.String()}
		for _, n := range []int{t.DaemonSets, t.PodsMade, t.PodsDeleted, t.PodsStaying, t.Denied} {
			row = append(row, fmt.Sprint(n))
		}
		rows = append(rows, append(row, signed(&t.CPU), signed(&t.Memory)))
	}
	return rows
}

// pools is a row for each pool and moment; none where all nodes are one pool.
func (r *DiffReport) pools() grid {
	rows := grid{{"POOL", "WHEN", "CPU", "MEMORY"}}
	for i := range r.Totals {
		t := &r.Totals[i]
		for j := range t.Pools {
			if p := &t.Pools[j]; p.Pool != coverage.AllNodes {
				rows = append(rows, []string{p.Pool, t.When.String(), signed(&p.CPU), signed(&p.Memory)})
			}
		}
	}
	return rows
}

// daemonSets is a row for each move: with all nodes, and the reasons, or with the first nodes.
func (r *DiffReport) daemonSets(whole bool) grid {
	header := []string{"NAMESPACE", "DAEMONSET", "WHEN", "NODES", "MADE ON", "DELETED ON", "STAYS ON", "CPU", "MEMORY"}
	if whole {
		header = append(header, "BECAUSE")
	}
	rows := grid{header}
	for i := range r.Moves {
		m := &r.Moves[i]
		var cpu, memory resource.Quantity
		for _, more := range m.Requests {
			cpu.Add(more.CPU)
			memory.Add(more.Memory)
		}
		row := []string{m.Namespace, m.Name, m.When.String(), m.nodes()}
		for _, nodes := range [][]string{m.Gained, nodesOf(m.Lost), nodesOf(m.Stays)} {
			row = append(row, names(nodes, whole))
		}
		row = append(row, signed(&cpu), signed(&memory))
		if whole {
			row = append(row, m.because())
		}
		rows = append(rows, row)
	}
	return rows
}

// nodes is like 6 -> 5: those that have a pod.
func (m *DaemonSetMove) nodes() string {
	if len(m.Denied) > 0 {
		return denied
	}
	return fmt.Sprintf("%d -> %d", m.Before, m.After)
}

// because is the reasons for which nodes lose pods.
func (m *DaemonSetMove) because() string {
	var reasons []string
	for _, group := range slices.Concat(m.Lost, m.Stays) {
		reasons = append(reasons, fmt.Sprintf("%d: %s", len(group.Nodes), group.Reason))
	}
	return orNone(strings.Join(reasons, "; "))
}

func nodesOf(groups []coverage.Group) (nodes []string) {
	for _, group := range groups {
		nodes = append(nodes, group.Nodes...)
	}
	slices.Sort(nodes)
	return nodes
}

// names is like n-1,n-2,n-3 and 4 more.
func names(nodes []string, all bool) string {
	switch {
	case len(nodes) == 0:
		return "-"
	case all:
		return strings.Join(nodes, ",")
	}
	return firstNodes(nodes, ",")
}

// signed is what is requested more, such as +100m, or freed, such as -100m.
func signed(q *resource.Quantity) string {
	if q.Sign() > 0 {
		return "+" + q.String()
	}
	return q.String()
}

// String is the sum in words.
func (s DiffSummary) String() string {
	if s.Moved == 0 {
		return fmt.Sprintf("Nothing moves: %s, %s", count(s.DaemonSets, "DaemonSet"), count(s.Nodes, "node"))
	}
	return fmt.Sprintf("%d of %s affected, %s", s.Moved, count(s.DaemonSets, "DaemonSet"), count(s.Nodes, "node"))
}
