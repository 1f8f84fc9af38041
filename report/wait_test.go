package report_test

import (
	"bytes"
	"testing"
	"time"

	"berth.dev/berth/coverage"
	"berth.dev/berth/report"
)

func TestAWaitEndsWithALineForWhatIsCompleteAndTheNodesThatLackTheRest(t *testing.T) {
	var said bytes.Buffer
	all := []report.Waited{
		{Namespace: "logging", Name: "agent", Complete: true, Counts: coverage.Counts{Total: 6, ShouldRun: 2, Running: 2}},
		{Namespace: "logging", Name: "gpu", Failed: true, Reason: "it should run on none of 2 nodes", Lacking: []coverage.StateGroup{
			{State: coverage.Excluded, Reason: "no label hardware=gpu", Nodes: []coverage.NodePod{{Node: "n-1"}, {Node: "n-2"}}},
		}},
		{Namespace: "logging", Name: "late", Reason: "no available pod on 1 node", Lacking: []coverage.StateGroup{
			{State: coverage.Missing, Reason: "container c: \x1b[31mevil", Nodes: []coverage.NodePod{{Node: "n-1", Pod: "late-x"}}},
		}},
		{Namespace: "logging", Name: "gone", Failed: true, Reason: "it has been deleted"},
	}
	for _, timeout := range []time.Duration{5 * time.Minute, 0} {
		if err := report.WriteWait(&said, all, timeout); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "wait.txt", said.String())
}

func TestProgressIsOneLineOnATerminalAndALineForEachChangeElsewhere(t *testing.T) {
	tell := func(terminal bool) string {
		var said bytes.Buffer
		p := report.NewProgress(&said, terminal)
		p.Tell(report.Waited{Namespace: "n", Name: "agent", Reason: "no available pod on 2 nodes"})
		p.Tell(report.Waited{Namespace: "n", Name: "agent", Reason: "no available\npod on 1 node\x1b"})
		p.Tell(report.Waited{Namespace: "n", Name: "agent", Complete: true})
		p.End()
		return said.String()
	}
	if got, want := tell(false), "Waiting for daemonset n/agent: no available pod on 2 nodes\nWaiting for daemonset n/agent: no available pod on 1 node^[\n"; got != want {
		t.Errorf("in CI %q, want %q", got, want)
	}
	const start = "\r\x1b[K"
	if got, want := tell(true), start+"Waiting for daemonset n/agent: no available pod on 2 nodes"+start+"Waiting for daemonset n/agent: no available pod on 1 node^["+start; got != want {
		t.Errorf("on a terminal %q, want %q", got, want)
	}
}

func TestNothingThatAWaitSaysIsACommandForTheTerminalOrTheCISystem(t *testing.T) {
	var said bytes.Buffer
	all := []report.Waited{{Namespace: hostile, Name: hostile, Reason: hostile, Lacking: []coverage.StateGroup{{Reason: hostile, Nodes: []coverage.NodePod{{Node: hostile}}}}}}
	report.NewProgress(&said, false).Tell(all[0])
	if err := report.WriteWait(&said, append(all, report.Waited{Name: hostile, Complete: true}, report.Waited{Name: hostile, Failed: true, Reason: hostile}), 0); err != nil {
		t.Fatal(err)
	}
	expectHarmless(t, "the wait", said.String())
}
