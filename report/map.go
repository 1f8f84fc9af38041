package report

import (
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/coverage"
)

// Map is where the pods of all DaemonSets run: nodes beside DaemonSets.
//
//	map.go        what there is to draw
//	mapbuild.go   nodes and DaemonSets → a Map; nodes that are alike become one column
//	mapstates.go  the states as they are drawn
//	mapcell.go    what is said of a cell
//	mapamount.go  CPU and memory, for people
//	maptext.go, mapsvg.go, maphtml.go   the formats; map/ has what the page is made of
type Map struct {
	// Title says of which cluster, and At when; zero: of files, which say no time.
	Title string
	At    time.Time
	// Pods says that pods are known. Without, a cell says where one would run.
	Pods bool
	// Columns is the nodes by pool, zone and name, those together that are in the same state for the same reason everywhere.
	Columns []MapColumn
	Pools   []MapPool
	// Rows is the DaemonSets by namespace and name.
	Rows []MapRow
	// Reasons is everything that is said of cells, each once. The first is nothing.
	Reasons []MapReason
	Totals  MapTotals
	// Unknown is what could not be read, and what that means.
	Unknown []string
}

// MapColumn is nodes of one pool and one zone that are alike.
type MapColumn struct {
	Pool  int // in Pools
	Zone  string
	Nodes []string
	// Requests is what the DaemonSets request on each of the nodes.
	Requests Amount
}

// MapPool is the nodes of a pool.
type MapPool struct {
	// Name is the value of the label that says so, and Label all of it.
	Name, Label string
	Nodes       int
	// Gone says that pods are on nodes that are not there any more.
	Gone bool
	// Pods is how many pods of DaemonSets there are or should be, what they request, and what the nodes have.
	Pods                  int
	Requests, Allocatable Amount
}

// MapRow is one DaemonSet.
type MapRow struct {
	Namespace, Name string
	// Cells is, for each column, which of the Reasons is the nodes'.
	Cells    []int
	Requests Amount // of one pod
	// Explained is who placed it: policies, and everything in the pod template that decides on nodes.
	Explained *Explanation
	Counts    coverage.Counts
}

// MapReason is what is said of a cell.
type MapReason struct {
	State coverage.State
	// By is who excludes the node: its author, or policies.
	By string
	// Lines is why, in sentences; the first says how things stand.
	Lines []string
}

// MapTotals counts nodes, DaemonSets and pods.
type MapTotals struct {
	Nodes, DaemonSets                     int
	ShouldRun, Running, OnItsWay, Missing int
}

// Amount is CPU in thousandths of a core, and memory in bytes.
type Amount struct{ CPU, Memory int64 }

func (a *Amount) add(b Amount, times int) {
	a.CPU += b.CPU * int64(times)
	a.Memory += b.Memory * int64(times)
}

// AmountOf is what a list of resources has of both.
func AmountOf(list corev1.ResourceList) Amount {
	return Amount{list.Cpu().MilliValue(), list.Memory().Value()}
}

var mapFormats = formats[*Map]{"text": mapText, "svg": mapSVG, "html": mapHTML}

// MapFormats lists the names.
func MapFormats() []string { return mapFormats.names() }

// ParseMapOutput reads FORMAT[=FILE].
func ParseMapOutput(text string) (Output, error) { return mapFormats.parse(text) }

// Write writes the map to all outputs, as that of a Report does.
func (m *Map) Write(outputs []Output, stdout io.Writer) error {
	return mapFormats.write(outputs, stdout, m)
}

// summary is one line.
func (m *Map) summary() string {
	t := &m.Totals
	text := fmt.Sprintf("%s, %s: ", count(t.Nodes, "node"), count(t.DaemonSets, "DaemonSet"))
	if !m.Pods {
		return text + fmt.Sprintf("%s would run", count(t.ShouldRun, "pod"))
	}
	text += fmt.Sprintf("%d of %s running", t.Running, count(t.ShouldRun, "pod"))
	if t.OnItsWay > 0 {
		text += fmt.Sprintf(", %d on the way", t.OnItsWay)
	}
	if t.Missing > 0 {
		text += fmt.Sprintf(", %d missing", t.Missing)
	}
	return text
}
