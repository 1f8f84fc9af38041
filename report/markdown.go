package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxMarkdown is what a comment of a pull request takes, with room for what goes around it: GitHub's limit is 65,536 characters.
const maxMarkdown = 60_000

// markdown fits a comment of a pull request and a step's summary: first what there is to mend, then DaemonSets, those that are
// denied and changed before others; what does not fit is counted.
func markdown(w io.Writer, r *Report) error {
	var c comment
	c.add(fmt.Sprintf("### berth: %s\n\n", r.Summary))
	for _, f := range r.All() {
		c.add(fmt.Sprintf("- **%s** `%s` %s: %s\n", f.Severity, f.Rule, cell(f.Place.String()), cell(f.Object+": "+f.Message)))
	}
	rows := grid{{"DAEMONSET", "VERDICT", "NODES", "POLICIES"}}
	daemonSets := slices.Clone(r.DaemonSets)
	slices.SortStableFunc(daemonSets, func(a, b DaemonSet) int { return cmp.Compare(a.Verdict.rank(), b.Verdict.rank()) })
	for i := range daemonSets {
		ds := &daemonSets[i]
		rows.row(ds.Namespace+"/"+ds.Name, string(ds.Verdict), ds.nodes(), strings.Join(ds.Policies, ", "))
	}
	c.table(rows)
	for i := range daemonSets {
		if ds := &daemonSets[i]; ds.Diff != "" {
			c.add(fmt.Sprintf("\n<details><summary>What berth adds to %s/%s</summary>\n\n%s\n\n</details>\n", cell(ds.Namespace), cell(ds.Name), fenced(ds.diff())))
		}
	}
	return c.write(w)
}

// comment is Markdown of at most maxMarkdown.
type comment struct {
	text strings.Builder
	left int // parts that did not fit
}

func (c *comment) add(part string) {
	if c.left > 0 || c.text.Len()+len(part) > maxMarkdown {
		c.left++
		return
	}
	c.text.WriteString(part)
}

// table adds the rows, if there are any.
func (c *comment) table(g grid) {
	if len(g) == 1 {
		return
	}
	for i, row := range g {
		var cells []string
		for _, text := range row {
			cells = append(cells, cell(text))
		}
		line := "| " + strings.Join(cells, " | ") + " |\n"
		if i == 0 {
			line = "\n" + strings.ToLower(line) + strings.Repeat("| --- ", len(row)) + "|\n"
		}
		c.add(line)
	}
}

func (c *comment) write(w io.Writer) error {
	if c.left > 0 {
		fmt.Fprintf(&c.text, "\n%s did not fit.\n", count(c.left, "more part"))
	}
	_, err := io.WriteString(w, c.text.String())
	return err
}

// markup is the characters that mean something to Markdown or HTML.
var markup = strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "`", "'", "@", "&#64;", "[", `\[`, "*", `\*`)

func cell(text string) string { return markup.Replace(plain(text)) }

// fenced is a code block that nothing in the text can end.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "diff\n" + strings.TrimRight(text, "\n") + "\n" + fence
}
