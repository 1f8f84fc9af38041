package report_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"berth.dev/berth/coverage"
	"berth.dev/berth/report"
)

func requested(pool, cpu, memory string) coverage.PoolRequests {
	return coverage.PoolRequests{Pool: pool, CPU: resource.MustParse(cpu), Memory: resource.MustParse(memory)}
}

// moved has one of everything, in no order.
func moved() *report.DiffReport {
	return report.NewDiff([]report.DaemonSetMove{{
		Namespace: "team-a", Name: "agent", When: report.AtNextRollout, Move: coverage.Move{
			Before: 1, After: 5, Gained: []string{"n-2", "n-3", "n-4", "n-5"}, Requests: []coverage.PoolRequests{requested("pool=x", "400m", "1Gi")},
		},
	}, {
		Namespace: "team-a", Name: "agent", When: report.AtOnce, Move: coverage.Move{
			Before: 5, After: 2,
			Lost: []coverage.Group{
				{Reason: "no label pool=a", Nodes: []string{"n-4", "n-5"}}, {Reason: "taint gpu:NoExecute is not tolerated", Nodes: []string{"n-2"}},
			},
			Stays:    []coverage.Group{{Reason: "taint b:NoSchedule is not tolerated", Nodes: []string{"n-3"}}},
			Requests: []coverage.PoolRequests{requested("no pool", "-200m", "-512Mi"), requested("pool=x", "-100m", "-256Mi")},
		},
	}, {
		Namespace: "kube-system", Name: "cni", When: report.AtOnce, Move: coverage.Move{
			Before: 5, After: 4, Lost: []coverage.Group{{Reason: "taint gpu:NoExecute is not tolerated", Nodes: []string{"n-2"}}},
			Requests: []coverage.PoolRequests{requested("pool=x", "-50m", "-64Mi")},
		},
	}, {
		Namespace: "team-a", Name: "denied", When: report.AtNextRollout, Denied: []string{`spec.template.spec.nodeSelector[pool]: Invalid value: "b": policy "p" requires "a"`},
	}, {
		Namespace: "team-a", Name: "new", When: report.WhenApplied, Move: coverage.Move{After: 1, Gained: []string{"n-1"}},
	}, {
		Namespace: "team-a", Name: "always", When: report.AtNextWrite, Move: coverage.Move{Before: 5, After: 6, Gained: []string{"n-6"}},
	}}, []string{"namespace team-b is not among the input: it is taken to have no labels and annotations"}, report.DiffSummary{Nodes: 6, DaemonSets: 7})
}

func TestEachFormatOfADiffIsWhatItsGoldenFileSays(t *testing.T) {
	for _, format := range report.DiffFormats() {
		t.Run(format, func(t *testing.T) {
			expectGolden(t, "diff-"+format+".golden", write(t, moved(), format))
		})
	}
}

func TestADiffThatMovesNothingIsOneLine(t *testing.T) {
	r := report.NewDiff(nil, nil, report.DiffSummary{Nodes: 6, DaemonSets: 1})
	if got := write(t, r, "table"); got != "Nothing moves: 1 DaemonSet, 6 nodes\n" || r.Moved() {
		t.Errorf("%q; moved: %t", got, r.Moved())
	}
	if !moved().Moved() {
		t.Error("something moves, and the report says that nothing does")
	}
}

func TestNothingInADiffIsACommandForTheTerminalOrMarkup(t *testing.T) {
	group := []coverage.Group{{Reason: hostile, Nodes: []string{hostile}}}
	r := report.NewDiff([]report.DaemonSetMove{{
		Namespace: hostile, Name: hostile, When: report.AtOnce, Denied: []string{hostile}, Warned: []string{hostile},
		Move: coverage.Move{Gained: []string{hostile}, Lost: group, Stays: group, Requests: []coverage.PoolRequests{requested(hostile, "1", "1")}},
	}}, []string{hostile}, report.DiffSummary{})
	for _, format := range []string{"table", "wide", "markdown"} {
		expectHarmless(t, format, write(t, r, format))
	}
}

// A comment has room for less than 2000 rows.
func TestInMarkdownDenialsComeBeforeWarningsAndBothBeforeTheRows(t *testing.T) {
	var moves []report.DaemonSetMove
	for i := range 2000 {
		moves = append(moves, report.DaemonSetMove{Namespace: "n", Name: fmt.Sprint("moves-", i), When: report.AtOnce, Move: coverage.Move{After: 1}})
	}
	moves = append(moves, report.DaemonSetMove{Namespace: "n", Name: "w", When: report.AtOnce, Warned: []string{"warned of"}},
		report.DaemonSetMove{Namespace: "n", Name: "z", When: report.AtOnce, Denied: []string{"denied for"}})
	expectOrder(t, write(t, report.NewDiff(moves, nil, report.DiffSummary{}), "markdown"), "| at once | 2002 |", "denied for", "warned of", "| n | moves-0 |", " did not fit.")
}
