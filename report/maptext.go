package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/coverage"
)

// mapText is for a terminal: the grid with numbered columns, which columns these are, the signs, and what is not as it should be.
func mapText(w io.Writer, m *Map) error {
	var text strings.Builder
	if m.Title != "" {
		fmt.Fprintf(&text, "%s: ", plain(m.Title))
	}
	fmt.Fprintf(&text, "%s\n\n", m.summary())
	columns := m.textColumnsOf()
	m.textGrid(&text, columns)
	m.textColumns(&text, columns)
	m.textTroubles(&text)
	for _, unknown := range m.Unknown {
		text.WriteByte('\n')
		say(&text, "Not known: %s", unknown)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// mostTextColumns is as many as stand side by side in a terminal.
const mostTextColumns = 40

// textColumn is columns of the map that are one in a terminal.
type textColumn []int

// textColumnsOf is each column for itself, or where these are too many those of a pool and a zone together.
func (m *Map) textColumnsOf() []textColumn {
	var all []textColumn
	for c := range m.Columns {
		before := max(c-1, 0)
		same := c > 0 && m.Columns[before].Pool == m.Columns[c].Pool && m.Columns[before].Zone == m.Columns[c].Zone
		if same && len(m.Columns) > mostTextColumns {
			all[len(all)-1] = append(all[len(all)-1], c)
			continue
		}
		all = append(all, textColumn{c})
	}
	return all
}

// someRun is the sign of nodes in different states, none of which is trouble.
const someRun = "◐"

// sign is that of a DaemonSet on all nodes of a column: the first trouble by the order of states, or what is true of all.
func (m *Map) sign(row *MapRow, column textColumn) string {
	signs, trouble := map[string]bool{}, len(looks)
	sign := ""
	for _, c := range column {
		drawn := m.Reasons[row.Cells[c]].look()
		if drawn == nil {
			continue
		}
		sign = drawn.Sign
		signs[sign] = true
		if isTrouble(drawn.State) {
			trouble = min(trouble, slices.Index(looks, *drawn))
		}
	}
	switch {
	case trouble < len(looks):
		return looks[trouble].Sign
	case len(signs) > 1:
		return someRun
	}
	return sign
}

func (m *Map) textGrid(w *strings.Builder, columns []textColumn) {
	names, widest := make([]string, len(m.Rows)), 0
	for r := range m.Rows {
		names[r] = plain(m.Rows[r].name())
		widest = max(widest, utf8.RuneCountInString(names[r]))
	}
	width := max(2, len(fmt.Sprint(len(columns)))) + 1
	line := func(name string, cell func(i int) string) {
		var text strings.Builder
		text.WriteString(name + strings.Repeat(" ", widest-utf8.RuneCountInString(name)))
		for i, column := range columns {
			if i > 0 && m.Columns[column[0]].Pool != m.Columns[columns[i-1][0]].Pool {
				text.WriteString("  ") // pools stand apart
			}
			sign := cell(i)
			text.WriteString(strings.Repeat(" ", width-utf8.RuneCountInString(sign)) + sign)
		}
		w.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	line("", func(i int) string { return fmt.Sprint(i + 1) })
	for r := range m.Rows {
		line(names[r], func(i int) string { return m.sign(&m.Rows[r], columns[i]) })
	}
	w.WriteByte('\n')
	if len(columns) < len(m.Columns) {
		fmt.Fprintf(w, "A column is all nodes of a pool and a zone: its sign is the first below that is not as it should be, and %s that nodes differ\n", someRun)
	}
	m.textSigns(w)
}

// legendWidth is as wide as the lines of the legend get.
const legendWidth = 100

func (m *Map) textSigns(w *strings.Builder) {
	line := ""
	for _, l := range m.legend() {
		sign := fmt.Sprintf("%s %s (%d)", l.Sign, strings.ToLower(l.Label), l.Cells)
		switch {
		case line == "":
			line = sign
		case utf8.RuneCountInString(line+sign) < legendWidth:
			line += "   " + sign
		default:
			w.WriteString(line + "\n")
			line = sign
		}
	}
	w.WriteString(line + "\n")
}

func (r *MapRow) name() string { return r.Namespace + "/" + r.Name }

func (m *Map) textColumns(w *strings.Builder, columns []textColumn) {
	table := grid{{"COLUMN", "POOL", "ZONE", "NODES", "WHICH", "CPU", "MEMORY"}}
	for i, column := range columns {
		var sum Amount
		var nodes []string
		for _, c := range column {
			nodes = append(nodes, m.Columns[c].Nodes...)
			sum.add(m.Columns[c].Requests, len(m.Columns[c].Nodes))
		}
		first := &m.Columns[column[0]]
		table.row(fmt.Sprint(i+1), m.Pools[first.Pool].Name, orNone(first.Zone), fmt.Sprint(len(nodes)),
			firstNodes(nodes, ", "), sum.cores(), sum.bytes())
	}
	table.below(w)
}

// isTrouble says whether somebody may want to do something.
func isTrouble(state coverage.State) bool {
	switch state {
	case coverage.OnItsWay, coverage.NotReady, coverage.Unschedulable, coverage.Missing, coverage.RunsUntilReplaced, coverage.Leaving:
		return true
	case coverage.Running, coverage.WouldRun, coverage.Tainted, coverage.Excluded:
	}
	return false
}

// textTroubles says of each DaemonSet what is not as it should be, and where.
func (m *Map) textTroubles(w *strings.Builder) {
	table := grid{{"DAEMONSET", "STATE", "NODES", "WHICH", "REASON"}}
	for r := range m.Rows {
		nodes := map[int][]string{} // by reason
		var order []int
		for c, reason := range m.Rows[r].Cells {
			if !isTrouble(m.Reasons[reason].State) {
				continue
			}
			if nodes[reason] == nil {
				order = append(order, reason)
			}
			nodes[reason] = append(nodes[reason], m.Columns[c].Nodes...)
		}
		for _, reason := range order {
			said := &m.Reasons[reason]
			table.row(m.Rows[r].name(), said.look().Label, fmt.Sprint(len(nodes[reason])), firstNodes(nodes[reason], ", "), said.short())
		}
	}
	if len(table) > 1 {
		table.below(w)
	}
}

// short is why, without how things stand, which the sign says.
func (r *MapReason) short() string {
	lines := strings.Join(r.Lines, " ")
	meaning := r.look().Meaning
	return strings.TrimSuffix(strings.TrimLeft(strings.TrimPrefix(lines, meaning), ".: "), ".")
}
