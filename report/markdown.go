package report

import (
	"fmt"
	"io"
	"strings"
)

// maxMarkdown is what a comment of a pull request takes, with room for what goes around it: GitHub's limit is 65,536 characters.
const maxMarkdown = 60_000

// markdown fits a comment of a pull request and a step's summary: what does not fit is counted.
func markdown(w io.Writer, r *Report) error {
	var b comment
	b.add(fmt.Sprintf("### berth: %s\n\n", r.Summary))
	if len(r.DaemonSets) > 0 {
		b.add("| DaemonSet | verdict | nodes | policies |\n| --- | --- | --- | --- |\n")
	}
	for i := range r.DaemonSets {
		ds := &r.DaemonSets[i]
		b.add(fmt.Sprintf("| %s/%s | %s | %s | %s |\n", cell(ds.Namespace), cell(ds.Name), ds.Verdict, ds.nodes(), cell(strings.Join(ds.Policies, ", "))))
	}
	b.add("\n")
	for _, f := range r.All() {
		b.add(fmt.Sprintf("- **%s** `%s` %s: %s\n", f.Severity, f.Rule, cell(f.Place.String()), cell(f.Object+": "+f.Message)))
	}
	for i := range r.DaemonSets {
		if ds := &r.DaemonSets[i]; ds.Diff != "" {
			b.add(fmt.Sprintf("\n<details><summary>What berth adds to %s/%s</summary>\n\n%s\n\n</details>\n", cell(ds.Namespace), cell(ds.Name), fenced(ds.Diff)))
		}
	}
	return b.write(w)
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

func (c *comment) write(w io.Writer) error {
	if c.left > 0 {
		fmt.Fprintf(&c.text, "\n%s did not fit.\n", count(c.left, "more part"))
	}
	_, err := io.WriteString(w, c.text.String())
	return err
}

// markup is the characters that mean something to Markdown or HTML.
var markup = strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "\n", " ", "\r", " ", "`", "'", "@", "&#64;", "[", `\[`, "*", `\*`)

func cell(text string) string { return markup.Replace(text) }

// fenced is a code block that nothing in the text can end.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "diff\n" + strings.TrimRight(text, "\n") + "\n" + fence
}
