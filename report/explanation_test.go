package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/coverage"
	"berth.dev/berth/report"
)

const (
	pod   = "spec.template.spec."
	terms = pod + "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
)

// explained has one of everything, and texts that mean something to a terminal.
func explained() *report.Explanation {
	return &report.Explanation{
		Namespace: "logging", Name: "agent",
		Policies: []report.ExplainedPolicy{
			{Name: "audited", Mode: "Audit", Applies: true, Items: []report.ExplainedItem{
				{Field: pod + "nodeSelector[zone]", What: "zone=z", Source: "its nodeSelector", Outcome: "added"},
			}},
			{Name: "elsewhere", Reason: "its namespaceSelector does not select the namespace"},
			{Name: "pools", Mode: "Enforce", Applies: true, Items: []report.ExplainedItem{
				{Field: pod + "nodeSelector[pool]", What: "pool=a", Source: "its nodeSelector", Outcome: "present"},
				{Field: pod + "nodeSelector[disk]", What: "disk=ssd", Source: "its nodeSelector", Outcome: "conflict", Other: "disk=hdd"},
				{Field: terms, What: "arch NotIn [arm]", Source: "its nodeRequirements", Outcome: "kept", Other: "arch In [arm]"},
			}, Violations: []string{`spec.template.spec.nodeSelector[disk]: Invalid value: "hdd": policy "pools" requires "ssd"`}},
			{Name: "waits", Mode: "Enforce", Reason: "its updatePolicy does not act on this update", Items: []report.ExplainedItem{
				{Field: pod + "tolerations", What: "gpu:NoSchedule", Source: "its tolerations", Outcome: "missing"},
			}},
		},
		Placement: []report.Written{
			{Field: pod + "nodeSelector[disk]", What: "disk=hdd", By: report.Author},
			{Field: pod + "nodeSelector[app]", What: "app=agent", By: report.Author, Policy: "own-label", Source: "the DaemonSet's spec.selector"},
			{Field: pod + "nodeSelector[pool]", What: "pool=a", By: report.Berth, Policy: "pools", Source: "its nodeSelector", Overridden: "pool=b"},
			{Field: terms + "[1].matchExpressions[0]", What: "arch NotIn [arm]", By: report.Berth, Policy: "gone"},
			{Field: pod + "tolerations[0]", What: "evil\x1b[31m:NoSchedule", By: report.Berth},
		},
		Nodes: &report.ExplainedNodes{Counts: coverage.Counts{Total: 8, ShouldRun: 3, Running: 2}, Groups: []coverage.StateGroup{
			{State: coverage.Running, Nodes: []coverage.NodePod{{Node: "n-1", Pod: "agent-x"}, {Node: "n-2", Pod: "agent-y"}}},
			{State: coverage.Unschedulable, Reason: "no room on the node: Insufficient cpu", Nodes: []coverage.NodePod{{Node: "n-3", Pod: "agent-z"}}},
			{State: coverage.Excluded, Reason: "no label pool=a", Nodes: []coverage.NodePod{{Node: "n-4"}, {Node: "n-5"}, {Node: "n-6"}, {Node: "n-7"}, {Node: "n-8"}}},
		}},
		Unknown: []string{"why pods could not be created: you lack the right to list events in namespace logging"},
	}
}

// explainedNode is what is said of one node in this state.
func explainedNode(n coverage.Node, node report.ExplainedNode) *report.Explanation {
	e := explained()
	e.Nodes, e.Unknown = nil, nil
	node.Node = n
	e.Node = &node
	return e
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func writeExplanation(t *testing.T, e *report.Explanation, format string) string {
	t.Helper()
	var out bytes.Buffer
	if err := e.Write(report.Output{Format: format}, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAnExplanationInEachFormat(t *testing.T) {
	for _, format := range report.ExplanationFormats() {
		golden(t, "explanation-"+format, writeExplanation(t, explained(), format))
	}
	leftOut := &report.Explanation{
		Namespace: "kube-system", Name: "cni",
		LeftOut:  []string{`webhook mutate.berth.dev of MutatingWebhookConfiguration berth leaves it out: its matchCondition "x" is not met`},
		Policies: []report.ExplainedPolicy{{Name: "pools", Reason: "berth is not asked about the DaemonSet"}},
		Nodes:    &report.ExplainedNodes{Counts: coverage.Counts{Total: 1}, Groups: []coverage.StateGroup{{State: coverage.Excluded, Reason: "no label a=b", Nodes: []coverage.NodePod{{Node: "n-1"}}}}},
	}
	golden(t, "explanation-left-out.txt", writeExplanation(t, leftOut, "table"))
}

func TestWhatIsSaidOfOneNode(t *testing.T) {
	label := &coverage.Why{Labels: []string{"pool=a"}}
	all := &coverage.Why{
		NodeName: "n-9", Labels: []string{"disk=hdd"}, Taints: []string{"gpu:NoSchedule"},
		Terms: []coverage.Term{{Expressions: []string{}}, {Expressions: []string{"arch NotIn [arm]"}}},
	}
	var said bytes.Buffer
	for _, e := range []*report.Explanation{
		explainedNode(coverage.Node{Name: "n-1", State: coverage.Running, Pod: "agent-x"}, report.ExplainedNode{}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.Running, Pod: "agent-x", Outdated: true, Reason: "of an earlier template, to be replaced"}, report.ExplainedNode{}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.OnItsWay, Pod: "agent-x", Reason: "the pod is starting"}, report.ExplainedNode{}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.NotReady, Pod: "agent-x", Reason: "container c is not ready"}, report.ExplainedNode{}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.Unschedulable, Pod: "agent-x", Reason: "no room on the node: Insufficient cpu"}, report.ExplainedNode{}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.Missing, Reason: "no pod yet"}, report.ExplainedNode{}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.RunsUntilReplaced, Pod: "agent-x", Why: &coverage.Why{Taints: []string{"gpu:NoSchedule"}}}, report.ExplainedNode{}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.Leaving, Pod: "agent-x", Why: label}, report.ExplainedNode{}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.Excluded, Why: label}, report.ExplainedNode{Command: "kubectl label node n-1 pool=a"}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.Excluded, Why: label}, report.ExplainedNode{Labels: map[string]string{"pool": "b"}}),
		explainedNode(coverage.Node{Name: "n-1", State: coverage.Excluded, Why: all}, report.ExplainedNode{}),
	} {
		said.WriteString(writeExplanation(t, e, "table") + "\n")
	}
	golden(t, "explanation-node.txt", said.String())
}

func TestNothingInAnExplanationIsACommandForTheTerminalOrTheCISystem(t *testing.T) {
	e := &report.Explanation{
		Namespace: hostile, Name: hostile, LeftOut: []string{hostile}, Unknown: []string{hostile},
		Policies: []report.ExplainedPolicy{
			{Name: hostile, Reason: hostile, Violations: []string{hostile}},
			{Name: hostile, Items: []report.ExplainedItem{{What: hostile, Source: hostile, Outcome: "kept", Other: hostile}}},
		},
		Placement: []report.Written{{Field: hostile, What: hostile, By: report.Berth, Policy: hostile, Source: hostile, Overridden: hostile}},
		Nodes:     &report.ExplainedNodes{Groups: []coverage.StateGroup{{State: coverage.Missing, Reason: hostile, Nodes: []coverage.NodePod{{Node: hostile}}}}},
	}
	expectHarmless(t, "the table", writeExplanation(t, e, "table"))
	why := &coverage.Why{NodeName: hostile, Labels: []string{hostile}, Taints: []string{hostile}, Terms: []coverage.Term{{Expressions: []string{hostile}}}}
	for _, state := range coverage.States() {
		e.Node = &report.ExplainedNode{Node: coverage.Node{Name: hostile, State: state, Pod: hostile, Reason: hostile, Why: why}, Command: hostile}
		expectHarmless(t, string(state), writeExplanation(t, e, "table"))
	}
}
