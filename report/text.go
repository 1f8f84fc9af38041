package report

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/cli-runtime/pkg/printers"
)

// oneLine keeps what is in a file from beginning a line, which a CI system could take for a command.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// inLine is what CI systems take for a command wherever it stands in a line: GitHub Actions and Azure Pipelines.
var inLine = strings.NewReplacer("##[", "#\uFFFD[", "##vso[", "#\uFFFDvso[")

// visible is text as it is, but for what a terminal or a CI system could take for a command, and what hides other text: ESC is ^[,
// a tab is a space, and other controls, ends of lines, characters that only say how text is laid out and the first of the colons
// that begin a command of GitHub Actions are U+FFFD.
func visible(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return utf8.RuneError
		}
		return r
	}, inLine.Replace(printers.EscapeTerminal(text)))
	if strings.HasPrefix(strings.TrimSpace(text), "::") {
		text = strings.Replace(text, "::", "\uFFFD:", 1)
	}
	return text
}

// plain is text that is visible, and on one line.
func plain(text string) string { return visible(oneLine(text)) }

// Paragraph is text that is visible, with a bar before each line but the first.
func Paragraph(text string) string { return visibleLines(text, "\n  | ") }

func visibleLines(text, separator string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	return strings.Join(lines, separator)
}

// say writes a line that is plain.
func say(w *strings.Builder, format string, values ...any) {
	w.WriteString(plain(fmt.Sprintf(format, values...)) + "\n")
}

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// shownNodes is how many nodes of a group are named.
const shownNodes = 3

// firstNodes is like n-1, n-2, n-3 and 4 more.
func firstNodes(nodes []string, separator string) string {
	text := strings.Join(nodes[:min(len(nodes), shownNodes)], separator)
	if more := len(nodes) - shownNodes; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// grid is rows of cells, the first of which is the header.
type grid [][]string

func (g *grid) row(cells ...string) { *g = append(*g, cells) }

// tabs writes the rows as kubectl prints them.
func (g grid) tabs(w io.Writer) error {
	tabs := printers.GetNewTabWriter(w)
	for _, row := range g {
		cells := make([]string, len(row))
		for i := range row {
			cells[i] = plain(row[i]) // before the columns are measured
		}
		if _, err := fmt.Fprintln(tabs, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return tabs.Flush()
}

// below writes the rows below an empty line.
func (g grid) below(w *strings.Builder) {
	w.WriteByte('\n')
	_ = g.tabs(w) // a Builder never fails
}
