package report

import (
	_ "embed"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

//go:embed map/picture.css
var pictureStyle string

// The measures of the picture.
const (
	svgMargin   = 16
	svgRow      = 24
	svgCell     = 28 // the least width of one; with few columns there is room for more
	svgMostCell = 44
	svgWidth    = 720
	svgLetter   = 7 // about the width of one
	svgPoolGap  = 10
	svgMostName = 34
	svgHeading  = 58
	svgNodes    = 96 // the height of the names of nodes
	svgBand     = 20
)

// picture is a map on its way to SVG.
type picture struct {
	*Map
	w             strings.Builder
	left, cellW   int   // where the cells begin, and how wide they are
	xs            []int // of columns
	top           int   // where the rows begin
	width, height int
}

// mapSVG is a picture for pages and chats: the same grid, in the colours of the page.
func mapSVG(w io.Writer, m *Map) error {
	p := &picture{Map: m}
	p.measure()
	p.heading()
	p.columns()
	for r := range m.Rows {
		p.row(r)
	}
	p.signs()
	label := fmt.Sprintf("Where the pods of DaemonSets run: %s", m.summary())
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">
<style>%s</style>
<rect class="page" width="100%%" height="100%%" rx="8"/>
%s</svg>
`, p.width, p.height, p.width, p.height, xmlEscaped(label), pictureStyle, p.w.String())
	return err
}

func (p *picture) measure() {
	longest := 0
	for r := range p.Rows {
		longest = max(longest, utf8.RuneCountInString(cut(p.Rows[r].name(), svgMostName)))
	}
	p.left = svgMargin + longest*svgLetter + 12
	p.cellW = min(svgMostCell, max(svgCell, (svgWidth-p.left-svgPoolGap*len(p.Pools))/max(len(p.Columns), 1)))
	x := p.left
	for c := range p.Columns {
		if c > 0 && p.Columns[c].Pool != p.Columns[c-1].Pool {
			x += svgPoolGap
		}
		p.xs = append(p.xs, x)
		x += p.cellW
	}
	p.top = svgHeading + 2*svgBand + svgNodes
	p.width = max(x+svgMargin, svgWidth)
	p.height = p.top + len(p.Rows)*svgRow + svgMargin
}

// cut shortens a text that is too long for its place.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:max(most-1, 0)]) + "…"
}

// xmlEscaped is text within an element or an attribute, without what XML cannot have.
func xmlEscaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(plain(text))) // a Builder never fails
	return b.String()
}

func (p *picture) text(x, y int, class, text string) {
	fmt.Fprintf(&p.w, "<text class=\"%s\" x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, xmlEscaped(text))
}

func (p *picture) heading() {
	title := cut(p.Title, svgMostName*2)
	if title == "" {
		title = "DaemonSets and nodes"
	}
	p.text(svgMargin, svgMargin+12, "title", title)
	p.text(svgMargin, svgMargin+30, "quiet", p.summary())
}

// columns writes pools and zones as bands, and the nodes below them, upwards.
func (p *picture) columns() {
	p.band(svgHeading, "pool", func(c int) (any, string) {
		pool := &p.Pools[p.Columns[c].Pool]
		return p.Columns[c].Pool, pool.Name
	})
	p.band(svgHeading+svgBand, "quiet", func(c int) (any, string) {
		return [2]any{p.Columns[c].Pool, p.Columns[c].Zone}, p.Columns[c].Zone
	})
	for c := range p.Columns {
		column := &p.Columns[c]
		name := cut(column.Nodes[0], 14)
		if more := len(column.Nodes) - 1; more > 0 {
			name = fmt.Sprintf("%s +%d", cut(column.Nodes[0], 9), more)
		}
		x, y := p.xs[c]+p.cellW/2+4, p.top-6
		fmt.Fprintf(&p.w, "<text class=\"node\" x=\"%d\" y=\"%d\" transform=\"rotate(-90 %d %d)\">%s<title>%s</title></text>\n",
			x, y, x, y, xmlEscaped(name), xmlEscaped(firstNodes(column.Nodes, ", ")))
	}
}

// band writes what neighbours have in common once, over a line as wide as they are.
func (p *picture) band(y int, class string, of func(c int) (any, string)) {
	for c := 0; c < len(p.Columns); {
		same, name := of(c)
		last := c
		for last+1 < len(p.Columns) {
			if next, _ := of(last + 1); next != same {
				break
			}
			last++
		}
		width := p.xs[last] + p.cellW - p.xs[c]
		if name != "" {
			fmt.Fprintf(&p.w, "<text class=\"%s\" x=\"%d\" y=\"%d\">%s<title>%s</title></text>\n", class,
				p.xs[c]+2, y+13, xmlEscaped(cut(name, width/svgLetter)), xmlEscaped(name))
		}
		fmt.Fprintf(&p.w, "<path class=\"line\" d=\"M%d %dh%d\"/>\n", p.xs[c]+2, y+svgBand-2, width-4)
		c = last + 1
	}
}

func (p *picture) row(r int) {
	row, y := &p.Rows[r], p.top+r*svgRow
	namespace, name := cut(row.Namespace+"/", svgMostName), row.Name
	rest := cut(name, svgMostName-utf8.RuneCountInString(namespace))
	fmt.Fprintf(&p.w, "<text class=\"name\" x=\"%d\" y=\"%d\"><tspan class=\"quiet\">%s</tspan>%s</text>\n",
		svgMargin, y+16, xmlEscaped(namespace), xmlEscaped(rest))
	for c, reason := range row.Cells {
		said := &p.Reasons[reason]
		if look := said.look(); look != nil {
			title := fmt.Sprintf("%s on %s: %s", row.name(), firstNodes(p.Columns[c].Nodes, ", "), strings.Join(said.Lines, " "))
			p.cell(place{p.xs[c] + 2, y + 2, p.cellW - 4}, look, title)
		}
	}
}

// place is where a cell is drawn, and how wide.
type place struct{ x, y, width int }

func (p *picture) cell(at place, l *look, title string) {
	fmt.Fprintf(&p.w, "<g class=\"%s\"><title>%s</title><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\"/>",
		l.Class, xmlEscaped(title), at.x, at.y, at.width, svgRow-4)
	fmt.Fprintf(&p.w, "<text x=\"%d\" y=\"%d\">%s</text></g>\n", at.x+at.width/2, at.y+14, xmlEscaped(l.Sign))
}

// signs is the legend, in as many lines as it takes.
func (p *picture) signs() {
	x, y := svgMargin, p.height
	for _, l := range p.legend() {
		text := fmt.Sprintf("%s (%d)", l.Label, l.Cells)
		width := svgCell + 4 + len(text)*svgLetter + 12
		if x > svgMargin && x+width > p.width {
			x, y = svgMargin, y+svgRow
		}
		p.cell(place{x, y, svgCell - 4}, l.look, l.Meaning)
		p.text(x+svgCell+2, y+15, "quiet", text)
		x += width
	}
	p.height = y + svgRow + svgMargin
}
