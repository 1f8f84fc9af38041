package report

import (
	"cmp"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/coverage"
)

// DiffReport is what a change of policies, DaemonSets or nodes moves.
type DiffReport struct {
	metav1.TypeMeta `json:",inline"`
	// Totals is one for each moment at which anything moves.
	Totals []DiffTotal `json:"totals"`
	// Moves is one for each DaemonSet and moment, of those that move.
	Moves []DaemonSetMove `json:"moves"`
	// Assumed is what had to be taken for granted.
	Assumed []string    `json:"assumed,omitempty"`
	Summary DiffSummary `json:"summary"`
}

// DiffSummary counts.
type DiffSummary struct {
	Nodes int `json:"nodes"` // after the change
	// DaemonSets is all that were looked at, and Moved those of which a pod moves, or a write is denied or warned.
	DaemonSets int `json:"daemonSets"`
	Moved      int `json:"moved"`
}

// When is the moment at which pods move.
type When string

// The moments, in their order.
const (
	AtOnce        When = "AtOnce"        // nodes change
	WhenApplied   When = "WhenApplied"   // a changed DaemonSet is applied
	AtNextWrite   When = "AtNextWrite"   // anybody writes the DaemonSet next (updatePolicy Always)
	AtNextRollout When = "AtNextRollout" // its pod template changes next
)

var moments = []struct {
	when  When
	words string
}{{AtOnce, "at once"}, {WhenApplied, "when applied"}, {AtNextWrite, "next write"}, {AtNextRollout, "next rollout"}}

func (w When) rank() int {
	for i := range moments {
		if moments[i].when == w {
			return i
		}
	}
	return len(moments)
}

// String is the moment in words.
func (w When) String() string { return moments[w.rank()].words }

// DaemonSetMove is what moves of one DaemonSet at one moment.
type DaemonSetMove struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	When      When   `json:"when"`
	coverage.Move
	// Denied is why the write would be denied; empty where it is not, or would be without the change too.
	Denied []string `json:"denied,omitempty"`
	// Warned is what the write would be warned of, and would not be without the change: a policy that an earlier version of the
	// DaemonSet violates too does not stop it.
	Warned []string `json:"warned,omitempty"`
}

// DiffTotal is what moves of all DaemonSets at one moment.
type DiffTotal struct {
	When       When `json:"when"`
	DaemonSets int  `json:"daemonSets"`
	// PodsMade, PodsDeleted and PodsStaying are the numbers of what coverage.Move lists.
	PodsMade    int `json:"podsMade"`
	PodsDeleted int `json:"podsDeleted"`
	PodsStaying int `json:"podsStaying"`
	Denied      int `json:"denied"`
	// CPU and Memory are what is requested more: less than 0 is freed. Pools has the same by pool.
	CPU    resource.Quantity       `json:"cpu"`
	Memory resource.Quantity       `json:"memory"`
	Pools  []coverage.PoolRequests `json:"pools,omitempty"`
}

// NewDiff puts everything into its order, and sums up. The summary comes with the numbers of what was looked at.
func NewDiff(moves []DaemonSetMove, assumed []string, summary DiffSummary) *DiffReport {
	r := &DiffReport{
		TypeMeta: metav1.TypeMeta{APIVersion: "berth.dev/v1alpha1", Kind: "DiffReport"},
		Totals:   []DiffTotal{}, Moves: append([]DaemonSetMove{}, moves...), Assumed: assumed, Summary: summary,
	}
	slices.SortStableFunc(r.Moves, func(a, b DaemonSetMove) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.When.rank(), b.When.rank()))
	})
	for i, move := range r.Moves {
		if i == 0 || move.Namespace != r.Moves[i-1].Namespace || move.Name != r.Moves[i-1].Name {
			r.Summary.Moved++
		}
	}
	for _, moment := range moments {
		total := DiffTotal{When: moment.when}
		for i := range r.Moves {
			if r.Moves[i].When == moment.when {
				total.add(&r.Moves[i])
			}
		}
		if total.DaemonSets > 0 {
			r.Totals = append(r.Totals, total)
		}
	}
	return r
}

func (t *DiffTotal) add(m *DaemonSetMove) {
	t.DaemonSets++
	t.PodsMade += len(m.Gained)
	t.PodsDeleted += countNodes(m.Lost)
	t.PodsStaying += countNodes(m.Stays)
	if len(m.Denied) > 0 {
		t.Denied++
	}
	for _, more := range m.Requests {
		t.CPU.Add(more.CPU)
		t.Memory.Add(more.Memory)
		i, found := slices.BinarySearchFunc(t.Pools, more.Pool, func(p coverage.PoolRequests, pool string) int { return cmp.Compare(p.Pool, pool) })
		if !found {
			t.Pools = slices.Insert(t.Pools, i, coverage.PoolRequests{Pool: more.Pool})
		}
		t.Pools[i].CPU.Add(more.CPU)
		t.Pools[i].Memory.Add(more.Memory)
	}
}

// remark is what berth says of a write, and what becomes of the write.
type remark struct{ outcome, text string }

const (
	denied = "denied"
	warned = "warned"
)

func (m *DaemonSetMove) remarks() (remarks []remark) {
	for _, text := range m.Denied {
		remarks = append(remarks, remark{denied, text})
	}
	for _, text := range m.Warned {
		remarks = append(remarks, remark{warned, text})
	}
	return remarks
}

func countNodes(groups []coverage.Group) (n int) {
	for _, group := range groups {
		n += len(group.Nodes)
	}
	return n
}

// Moved says whether anything moves, or is denied or warned.
func (r *DiffReport) Moved() bool { return len(r.Moves) > 0 }

var diffFormats = formats[*DiffReport]{
	"table": diffTable, "wide": diffWide, "yaml": asYAML[*DiffReport], "json": asJSON[*DiffReport], "markdown": diffMarkdown,
}

// DiffFormats lists the names of those that a DiffReport has.
func DiffFormats() []string { return diffFormats.names() }

// ParseDiffOutput reads FORMAT[=FILE] of a DiffReport.
func ParseDiffOutput(text string) (Output, error) { return diffFormats.parse(text) }

// summary is one line.
func (r *DiffReport) summary() string { return r.Summary.String() }

// Write writes the report to all outputs, as that of a Report does.
func (r *DiffReport) Write(outputs []Output, stdout io.Writer) error {
	return diffFormats.write(outputs, stdout, r)
}
