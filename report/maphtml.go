package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

// What the page is made of.
var (
	//go:embed map/page.html
	pageText string
	//go:embed map/style.css
	pageStyle string
	//go:embed map/grid.js
	pageGridScript string
	//go:embed map/details.js
	pageDetailsScript string

	pageScript = "'use strict';\n(() => {\n" + pageGridScript + pageDetailsScript + "})();\n"

	page = template.Must(template.New("map").Parse(pageText))
)

// pageData is what the page is filled with. Only the two files from above are taken as they are.
type pageData struct {
	Title, At string
	// Policy allows this style and this script, and nothing else: nothing is loaded, nothing is sent.
	Policy string
	Style  template.CSS
	Script template.JS

	*Map
	Summary []pageNumber
	Pools   []pagePool
	Legend  []lookCount
	Data    *pageGrid
}

// pageNumber is one of the numbers at the top.
type pageNumber struct{ Number, What, Class string }

// pagePool is a line of the table of costs.
type pagePool struct {
	MapPool
	CPU, CPUShare, Memory, MemoryShare string
}

// pageGrid is what the script draws, in short words.
type pageGrid struct {
	Pools   []pageGridPool   `json:"pools"`
	Columns []pageGridColumn `json:"columns"`
	Rows    []pageGridRow    `json:"rows"`
	Reasons []pageGridReason `json:"reasons"`
	Looks   []pageGridLook   `json:"looks"`
	Live    bool             `json:"live"` // a cluster can be asked further
	Pods    bool             `json:"pods"`
}

type pageGridPool struct {
	Name   string `json:"name"`
	Label  string `json:"label,omitempty"`
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
	Nodes  int    `json:"nodes"`
}

type pageGridColumn struct {
	Pool   int      `json:"p"`
	Zone   string   `json:"z,omitempty"`
	Nodes  []string `json:"n"`
	CPU    string   `json:"c"`
	Memory string   `json:"m"`
}

// pageGridRow has its cells as runs: a reason, and how many columns have it.
type pageGridRow struct {
	Namespace string     `json:"ns"`
	Name      string     `json:"n"`
	Runs      []int      `json:"r"`
	CPU       string     `json:"c"`
	Memory    string     `json:"m"`
	ShouldRun int        `json:"want"`
	Running   int        `json:"runs"`
	Policies  []string   `json:"p,omitempty"`
	LeftOut   []string   `json:"out,omitempty"`
	Written   [][]string `json:"w,omitempty"`
}

type pageGridReason struct {
	Look  int      `json:"l"` // in looks; -1: nothing
	By    string   `json:"b,omitempty"`
	Lines []string `json:"t"`
}

type pageGridLook struct {
	Class string `json:"class"`
	Sign  string `json:"sign"`
	Label string `json:"label"`
}

func mapHTML(w io.Writer, m *Map) error {
	data := &pageData{
		Title: m.Title, Map: m, Style: template.CSS(pageStyle), Script: template.JS(pageScript), //nolint:gosec // our own files, see above
		Policy:  fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", digest(pageStyle), digest(pageScript)),
		Summary: m.numbers(), Legend: m.legend(), Data: m.grid(),
	}
	if !m.At.IsZero() {
		data.At = m.At.UTC().Format(time.DateTime) + " UTC"
	}
	for i := range m.Pools {
		p := &m.Pools[i]
		data.Pools = append(data.Pools, pagePool{
			*p, p.Requests.cores(), share(p.Requests.CPU, p.Allocatable.CPU), p.Requests.bytes(), share(p.Requests.Memory, p.Allocatable.Memory),
		})
	}
	return page.Execute(w, data)
}

// digest is how a content security policy names a text.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func (m *Map) numbers() []pageNumber {
	t := &m.Totals
	numbers := []pageNumber{{fmt.Sprint(t.Nodes), plural(t.Nodes, "node"), ""}, {fmt.Sprint(t.DaemonSets), plural(t.DaemonSets, "DaemonSet"), ""}}
	if !m.Pods {
		return append(numbers, pageNumber{fmt.Sprint(t.ShouldRun), plural(t.ShouldRun, "pod") + " would run", "would"})
	}
	return append(numbers, pageNumber{fmt.Sprintf("%d of %d", t.Running, t.ShouldRun), "running", "running"},
		pageNumber{fmt.Sprint(t.OnItsWay), "on the way", "way"}, pageNumber{fmt.Sprint(t.Missing), "missing", "missing"})
}

func plural(n int, what string) string {
	_, word, _ := strings.Cut(count(n, what), " ")
	return word
}

func (m *Map) grid() *pageGrid {
	g := &pageGrid{Live: !m.At.IsZero(), Pods: m.Pods}
	number := map[*look]int{}
	for i := range looks {
		number[&looks[i]] = i
		g.Looks = append(g.Looks, pageGridLook{looks[i].Class, looks[i].Sign, looks[i].Label})
	}
	for i := range m.Reasons {
		r := &m.Reasons[i]
		said := pageGridReason{Look: -1, By: r.By, Lines: r.Lines}
		if look := r.look(); look != nil {
			said.Look = number[look]
		}
		g.Reasons = append(g.Reasons, said)
	}
	for i := range m.Pools {
		p := &m.Pools[i]
		g.Pools = append(g.Pools, pageGridPool{p.Name, p.Label, p.Requests.cores(), p.Requests.bytes(), p.Nodes})
	}
	for i := range m.Columns {
		c := &m.Columns[i]
		g.Columns = append(g.Columns, pageGridColumn{c.Pool, c.Zone, c.Nodes, c.Requests.cores(), c.Requests.bytes()})
	}
	for i := range m.Rows {
		g.Rows = append(g.Rows, m.Rows[i].onPage())
	}
	return g
}

func (r *MapRow) onPage() pageGridRow {
	row := pageGridRow{
		Namespace: r.Namespace, Name: r.Name, CPU: r.Requests.cores(), Memory: r.Requests.bytes(),
		ShouldRun: r.Counts.ShouldRun, Running: r.Counts.Running, LeftOut: r.Explained.LeftOut,
	}
	for i := range r.Explained.Policies {
		if p := &r.Explained.Policies[i]; p.Applies {
			row.Policies = append(row.Policies, p.Name)
		}
	}
	for i := range r.Explained.Placement {
		w := &r.Explained.Placement[i]
		row.Written = append(row.Written, []string{shortField(w.Field), w.What, w.by()})
	}
	for c, reason := range r.Cells {
		if c > 0 && r.Cells[c-1] == reason {
			row.Runs[len(row.Runs)-1]++
			continue
		}
		row.Runs = append(row.Runs, reason, 1)
	}
	return row
}
