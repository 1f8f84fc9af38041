package report

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/cli-runtime/pkg/printers"

	"berth.dev/berth/coverage"
)

// mapText is for a terminal: the grid with numbered columns, which columns these are, the signs, and what is not as it should be.
func mapText(w io.Writer, m *Map) error {
	var text strings.Builder
	if m.Title != "" {
		fmt.Fprintf(&text, "%s: ", plain(m.Title))
	}
	fmt.Fprintf(&text, "%s\n\n", m.summary())
	m.textGrid(&text)
	m.textColumns(&text)
	m.textTroubles(&text)
	for _, unknown := range m.Unknown {
		fmt.Fprintf(&text, "\nNot known: %s\n", plain(unknown))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// plain is text without anything that a terminal could take for a command.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, printers.EscapeTerminal(oneLine(text)))
}

func (m *Map) textGrid(w *strings.Builder) {
	names, widest := make([]string, len(m.Rows)), 0
	for r := range m.Rows {
		names[r] = plain(m.Rows[r].name())
		widest = max(widest, utf8.RuneCountInString(names[r]))
	}
	width := max(2, len(fmt.Sprint(len(m.Columns)))) + 1
	line := func(name string, cell func(c int) string) {
		var text strings.Builder
		text.WriteString(name + strings.Repeat(" ", widest-utf8.RuneCountInString(name)))
		for c := range m.Columns {
			if c > 0 && m.Columns[c].Pool != m.Columns[c-1].Pool {
				text.WriteString("  ") // pools stand apart
			}
			sign := cell(c)
			text.WriteString(strings.Repeat(" ", width-utf8.RuneCountInString(sign)) + sign)
		}
		w.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	line("", func(c int) string { return fmt.Sprint(c + 1) })
	for r := range m.Rows {
		line(names[r], func(c int) string {
			if look := m.Reasons[m.Rows[r].Cells[c]].look(); look != nil {
				return look.Sign
			}
			return ""
		})
	}
	w.WriteByte('\n')
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

func (m *Map) textColumns(w *strings.Builder) {
	table := newTable("COLUMN", "POOL", "ZONE", "NODES", "WHICH", "CPU", "MEMORY")
	for c := range m.Columns {
		column := &m.Columns[c]
		var sum Amount
		sum.add(column.Requests, len(column.Nodes))
		table.row(fmt.Sprint(c+1), plain(m.Pools[column.Pool].Name), orNone(plain(column.Zone)), fmt.Sprint(len(column.Nodes)),
			plain(whichNames(column.Nodes)), sum.cores(), sum.bytes())
	}
	table.write(w)
}

func whichNames(nodes []string) string {
	text := strings.Join(nodes[:min(len(nodes), shownNodes)], ", ")
	if more := len(nodes) - shownNodes; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
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
	table := newTable("DAEMONSET", "STATE", "NODES", "WHICH", "REASON")
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
			table.row(plain(m.Rows[r].name()), said.look().Label, fmt.Sprint(len(nodes[reason])), plain(whichNames(nodes[reason])), plain(said.short()))
		}
	}
	if len(table.lines) > 1 {
		table.write(w)
	}
}

// short is why, without how things stand, which the sign says.
func (r *MapReason) short() string {
	lines := strings.Join(r.Lines, " ")
	meaning := r.look().Meaning
	return strings.TrimSuffix(strings.TrimLeft(strings.TrimPrefix(lines, meaning), ".: "), ".")
}
