package report_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/coverage"
	"berth.dev/berth/report"
)

var poolLabels = []string{"cloud.google.com/gke-nodepool"}

// mapNode is a node of a pool, empty: of none.
func mapNode(name, pool, zone string) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone}}}
	if pool != "" {
		node.Labels[poolLabels[0]] = pool
	}
	node.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("16Gi")}
	return node
}

// drawn is a map with every state, nodes that are alike, one that is gone, and what nobody should write.
func drawn() *report.Map {
	nodes := []*corev1.Node{mapNode("n-10", "a", "z1"), mapNode("n-2", "a", "z1"), mapNode("n-3", "a", "z2"), mapNode("n-4", "b<>&", ""), mapNode("n-5", "", ""), mapNode("n-6", "", "")}
	b := report.NewMapBuilder(nodes, poolLabels)
	pool := &coverage.Why{Labels: []string{"pool=a"}}
	disk := &coverage.Why{Labels: []string{"disk=ssd"}, Taints: []string{"gpu:NoSchedule"}}
	tainted := &coverage.Why{Taints: []string{"gpu:NoSchedule"}}
	agent := &report.Explanation{Namespace: "logging", Name: "agent", Policies: []report.ExplainedPolicy{{Name: "pools", Applies: true}, {Name: "other", Reason: "no"}}, Placement: []report.Written{
		{Field: "spec.template.spec.nodeSelector[pool]", What: "pool=a", By: report.Berth, Policy: "pools", Source: "its nodeSelector"},
		{Field: "spec.template.spec.nodeSelector[disk]", What: "disk=ssd", By: report.Author},
	}}
	b.Add(agent, report.Amount{CPU: 250, Memory: 96 << 20}, []coverage.Node{
		{Name: "n-10", State: coverage.Running, Pod: "agent-a"}, {Name: "n-2", State: coverage.Running, Pod: "agent-b"},
		{Name: "n-3", State: coverage.Missing, Reason: "the pod has ended: \x1b[31m</text><script>\x00\nbad"},
		{Name: "n-4", State: coverage.Excluded, Why: pool}, {Name: "n-5", State: coverage.Excluded, Why: disk},
		{Name: "n-6", State: coverage.Leaving, Pod: "agent-c", Why: pool}, {Name: "n-0", State: coverage.Leaving, Reason: "the node is gone", Pod: "agent-d"},
	})
	b.Add(&report.Explanation{Namespace: "a\x1b[2J", Name: "evil&<b>"}, report.Amount{CPU: 1000, Memory: 3 << 29}, []coverage.Node{
		{Name: "n-10", State: coverage.OnItsWay, Reason: "the pod is starting"}, {Name: "n-2", State: coverage.OnItsWay, Reason: "the pod is starting"},
		{Name: "n-3", State: coverage.NotReady, Reason: "the node is not ready"}, {Name: "n-4", State: coverage.Unschedulable, Reason: "no room on the node: Insufficient cpu"},
		{Name: "n-5", State: coverage.RunsUntilReplaced, Pod: "x", Why: tainted}, {Name: "n-6", State: coverage.Tainted, Why: tainted},
	})
	m := b.Map()
	m.Title, m.At, m.Pods, m.Unknown = "prod & <co>", time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), true, []string{"why: you lack the right to list events"}
	return m
}

func writeMap(t *testing.T, m *report.Map, format string) string {
	t.Helper()
	var out bytes.Buffer
	if err := m.Write([]report.Output{{Format: format}}, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAMapInEachFormat(t *testing.T) {
	golden(t, "map.txt", writeMap(t, drawn(), "text"))
	golden(t, "map.svg", writeMap(t, drawn(), "svg"))
	page := writeMap(t, drawn(), "html")
	for _, raw := range []string{"<co>", "evil&<b>", "</text>", "\x1b", "\x00", "http:", "https:"} {
		if strings.Contains(page, raw) {
			t.Errorf("the page has %q in it", raw)
		}
	}
}

// Nodes are alike where they are of one pool and one zone, and stand in the same way to every DaemonSet.
func TestNodesThatAreAlikeAreOneColumn(t *testing.T) {
	m := drawn()
	var columns []string
	for _, c := range m.Columns {
		columns = append(columns, fmt.Sprintf("%s %s %v %dm", m.Pools[c.Pool].Name, c.Zone, c.Nodes, c.Requests.CPU))
	}
	want := []string{
		"a z1 [n-2 n-10] 1250m", "a z2 [n-3] 1250m", "b<>&  [n-4] 1000m", "no pool  [n-5] 1000m", "no pool  [n-6] 250m",
		"nodes that are gone  [n-0] 0m",
	}
	if diff := cmp.Diff(want, columns); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(report.MapTotals{Nodes: 6, DaemonSets: 2, ShouldRun: 7, Running: 2, OnItsWay: 2, Missing: 3}, m.Totals); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	a := report.MapPool{Name: "a", Label: "cloud.google.com/gke-nodepool=a", Nodes: 3, Pods: 6,
		Requests: report.Amount{CPU: 3750, Memory: 3*96<<20 + 3*3<<29}, Allocatable: report.Amount{CPU: 12000, Memory: 48 << 30}}
	if diff := cmp.Diff(a, m.Pools[0]); diff != "" {
		t.Errorf("pool (-want +got):\n%s", diff)
	}
}

func TestWhoExcludesANode(t *testing.T) {
	m := drawn()
	var by []string
	for _, reason := range m.Rows[1].Cells {
		by = append(by, m.Reasons[reason].By)
	}
	if diff := cmp.Diff([]string{"", "", "policy pools", "its author", "", ""}, by); diff != "" {
		t.Errorf("by (-want +got):\n%s", diff)
	}
}

func TestNothingInTheTextOfAMapIsACommandForTheTerminalOrTheCISystem(t *testing.T) {
	b := report.NewMapBuilder([]*corev1.Node{mapNode(hostile, hostile, hostile)}, poolLabels)
	b.Add(&report.Explanation{Namespace: hostile, Name: hostile}, report.Amount{}, []coverage.Node{{Name: hostile, State: coverage.Missing, Reason: hostile}})
	m := b.Map()
	m.Title, m.Unknown = hostile, []string{hostile}
	expectHarmless(t, "the text", writeMap(t, m, "text"))
}

func TestAMapGoesIntoFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "map.svg")
	var out bytes.Buffer
	if err := drawn().Write([]report.Output{{Format: "svg", File: file}}, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("6 nodes, 2 DaemonSets: 2 of 7 pods running, 2 on the way, 3 missing\n", out.String()); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(writeMap(t, drawn(), "svg"), string(content)); diff != "" {
		t.Errorf("file (-stdout +file):\n%s", diff)
	}
	for _, wrong := range []string{"", "png", "svg=", "yaml=x"} {
		if _, err := report.ParseMapOutput(wrong); err == nil {
			t.Errorf("-o %q is taken", wrong)
		}
	}
}

// noise is a map in which no two nodes are alike.
func noise(nodes, daemonSets int) *report.Map {
	dice := rand.New(rand.NewPCG(1, 2))
	var all []*corev1.Node
	for n := range nodes {
		all = append(all, mapNode(fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", n/256, n%256), fmt.Sprint(n%7), fmt.Sprint(n%3)))
	}
	b := report.NewMapBuilder(all, poolLabels)
	for d := range daemonSets {
		states := make([]coverage.Node, nodes)
		for n := range states {
			states[n] = coverage.Node{Name: all[n].Name, State: coverage.States()[dice.IntN(5)]}
			if states[n].State != coverage.Running {
				states[n].Reason = fmt.Sprintf("container c of daemon-%d: ended with exit code %d (Error)", d, dice.IntN(3))
			}
		}
		b.Add(&report.Explanation{Namespace: fmt.Sprint("team-", d%12), Name: fmt.Sprint("daemon-", d)}, report.Amount{CPU: 50, Memory: 64 << 20}, states)
	}
	return b.Map()
}

// Where columns are too many for a terminal, a pool and a zone share one.
func TestTheTextOfALargeClusterHasAColumnForEachPoolAndZone(t *testing.T) {
	nodes, states := make([]*corev1.Node, 60), make([]coverage.Node, 60)
	for n := range nodes {
		nodes[n] = mapNode(fmt.Sprint("n-", n), fmt.Sprint("p", n%3), "z")
		states[n] = coverage.Node{Name: nodes[n].Name, State: coverage.Running}
		if n%3 == 1 && n%2 == 0 {
			states[n].State, states[n].Why = coverage.Excluded, &coverage.Why{Labels: []string{fmt.Sprint("l=", n)}}
		} else if n%3 > 0 {
			states[n].Reason = fmt.Sprint("said of ", n)
		}
	}
	states[2].State, states[5].State = coverage.OnItsWay, coverage.Missing
	b := report.NewMapBuilder(nodes, poolLabels)
	b.Add(&report.Explanation{Namespace: "a", Name: "b"}, report.Amount{}, states)
	head, _, _ := strings.Cut(writeMap(t, b.Map(), "text"), "\n\nDAEMONSET")
	want := `60 nodes, 1 DaemonSet: 50 pods would run

     1    2    3
a/b  ●    ◐    >

A column is all nodes of a pool and a zone: its sign is the first below that is not as it should be, and ◐ that nodes differ
● running (48)   > on its way (1)   M missing (1)   · excluded by its author (10)

COLUMN   POOL   ZONE   NODES   WHICH                       CPU   MEMORY
1        p0     z      20      n-0, n-3, n-6 and 17 more   0m    0
2        p1     z      20      n-1, n-4, n-7 and 17 more   0m    0
3        p2     z      20      n-2, n-5, n-8 and 17 more   0m    0`
	if diff := cmp.Diff(want, head); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThePageOfALargeClusterIsSmall(t *testing.T) {
	m := noise(500, 100)
	if len(m.Columns) != 500 {
		t.Errorf("%d columns: some nodes are alike", len(m.Columns))
	}
	page := writeMap(t, m, "html")
	t.Logf("%d KiB", len(page)>>10)
	if most := 2 << 20; len(page) > most {
		t.Errorf("the page has %d bytes, more than %d", len(page), most)
	}
}

func BenchmarkThePage(b *testing.B) {
	m := noise(500, 100)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Write([]report.Output{{Format: "html"}}, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
