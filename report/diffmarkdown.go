package report

import (
	"fmt"
	"io"
)

// diffMarkdown fits a comment of a pull request, as markdown does: what would be denied comes before what would be warned of, and
// both before the rows.
func diffMarkdown(w io.Writer, r *DiffReport) error {
	var c comment
	c.add("### berth diff: " + r.Summary.String() + "\n")
	c.table(r.sums())
	c.add("\n")
	for _, outcome := range []string{denied, warned} {
		for i := range r.Moves {
			m := &r.Moves[i]
			for _, remark := range m.remarks() {
				if remark.outcome == outcome {
					c.add(fmt.Sprintf("- **%s** %s, %s: %s\n", outcome, cell(m.Namespace+"/"+m.Name), m.When, cell(remark.text)))
				}
			}
		}
	}
	for _, assumed := range r.Assumed {
		c.add("- **note** " + cell(assumed) + "\n")
	}
	c.table(r.pools())
	c.table(r.daemonSets(false))
	return c.write(w)
}
