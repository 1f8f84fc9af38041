package report

import (
	"fmt"
	"io"
	"strings"
)

// diffMarkdown fits a comment of a pull request, as markdown does.
func diffMarkdown(w io.Writer, r *DiffReport) error {
	var c comment
	c.add("### berth diff: " + r.Summary.String() + "\n")
	for _, rows := range []grid{r.sums(), r.pools(), r.daemonSets(false)} {
		if len(rows) > 1 {
			rows.markdown(&c)
		}
	}
	c.add("\n")
	for i := range r.Moves {
		m := &r.Moves[i]
		for _, r := range m.remarks() {
			c.add(fmt.Sprintf("- **%s** %s, %s: %s\n", r.outcome, cell(m.Namespace+"/"+m.Name), m.When, cell(r.text)))
		}
	}
	for _, assumed := range r.Assumed {
		c.add("- **note** " + cell(assumed) + "\n")
	}
	return c.write(w)
}

// markdown writes the rows as a table.
func (g grid) markdown(c *comment) {
	rule := strings.Repeat("| --- ", len(g[0])) + "|\n"
	for i, row := range g {
		var cells []string
		for _, text := range row {
			cells = append(cells, cell(text))
		}
		line := "| " + strings.Join(cells, " | ") + " |\n"
		if i == 0 {
			c.add("\n" + strings.ToLower(line) + rule)
			continue
		}
		c.add(line)
	}
}
