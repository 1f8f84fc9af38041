package report

import (
	"strings"

	"berth.dev/berth/coverage"
)

// look is how a state is drawn. Colours alone say nothing: each has a sign of its own.
type look struct {
	State coverage.State
	// Policy says that a policy excludes the node: this one has a look of its own.
	Policy bool
	// Class is its name in the style of the page and the picture, and Sign one character.
	Class, Sign string
	// Label is its name, and Meaning a sentence without its end.
	Label, Meaning string
}

// looks are in the order of the legend.
var looks = []look{
	{coverage.Running, false, "running", "●", "Running", "A pod runs here, as it should"},
	{coverage.WouldRun, false, "would", "○", "Would run", "A pod would run here"},
	{coverage.OnItsWay, false, "way", ">", "On its way", "A pod should run here, and is on its way"},
	{coverage.NotReady, false, "unready", "N", "Not ready", "A pod should run here, and is not ready"},
	{coverage.Unschedulable, false, "unschedulable", "U", "Unschedulable", "A pod should run here, and finds no room"},
	{coverage.Missing, false, "missing", "M", "Missing", "A pod should run here, and does not"},
	{coverage.RunsUntilReplaced, false, "until", "R", "Runs until replaced", "A pod runs here, though it should not: it stays until it is replaced"},
	{coverage.Leaving, false, "leaving", "L", "Leaving", "A pod is here, and is going: it should not run here"},
	{coverage.Tainted, false, "tainted", "T", "Blocked by a taint", "No pod runs here, and none should: a taint is in the way"},
	{coverage.Excluded, true, "policy", "p", "Excluded by a policy", "No pod runs here, and none should: the node is not selected"},
	{coverage.Excluded, false, "author", "·", "Excluded by its author", "No pod runs here, and none should: the node is not selected"},
}

// lookOf returns how a state is drawn; nil for none.
func lookOf(state coverage.State, policy bool) *look {
	for i := range looks {
		if looks[i].State == state && looks[i].Policy == policy {
			return &looks[i]
		}
	}
	return nil
}

// look is how the cell is drawn; nil where there is nothing.
func (r *MapReason) look() *look {
	return lookOf(r.State, strings.Contains(r.By, "policy "))
}

// lookCount is a look, and the number of cells that have it, each node for itself.
type lookCount struct {
	*look
	Cells int
}

// legend is the looks that there are in the map.
func (m *Map) legend() []lookCount {
	cells := map[*look]int{}
	for r := range m.Rows {
		for c, reason := range m.Rows[r].Cells {
			if reason > 0 {
				cells[m.Reasons[reason].look()] += len(m.Columns[c].Nodes)
			}
		}
	}
	var all []lookCount
	for i := range looks {
		if n := cells[&looks[i]]; n > 0 {
			all = append(all, lookCount{&looks[i], n})
		}
	}
	return all
}
