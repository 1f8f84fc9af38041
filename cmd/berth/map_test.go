package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mapOf runs berth map.
func mapOf(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs(append([]string{"map"}, args...))
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

const mapExample = "../../docs/map-example.yaml"

// docs/map.svg is what the command draws. After a change: BERTH_UPDATE_DOCS=1 go test ./cmd/berth -run Picture
func TestThePictureInTheDocsIsWhatTheCommandDraws(t *testing.T) {
	const picture = "../../docs/map.svg"
	drawn, err := mapOf(t, "", "-f", mapExample, "-o", "svg")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("BERTH_UPDATE_DOCS") != "" {
		if err := os.WriteFile(picture, []byte(drawn), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), drawn); diff != "" {
		t.Errorf("docs/map.svg (-there +drawn); BERTH_UPDATE_DOCS=1 writes it anew:\n%s", diff)
	}
}

func TestThePageOnMapShowsWhatTheCommandPrints(t *testing.T) {
	page, err := os.ReadFile("../../docs/map.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```console\n\\$ berth map -f docs/map-example.yaml\n(.*?)\n```").FindStringSubmatch(string(page))
	if shown == nil {
		t.Fatal("the page does not show berth map -f docs/map-example.yaml")
	}
	printed, err := mapOf(t, "", "-f", mapExample)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(shown[1], strings.TrimRight(printed, "\n")); diff != "" {
		t.Errorf("(-the page +printed):\n%s", diff)
	}
}

const mapNodes = `
{apiVersion: v1, kind: NodeList, items: [{metadata: {name: n-1, labels: {app: agent}}}, {metadata: {name: n-2}}]}
`

// Without pods it is where they would run, by the template as it stands.
func TestAMapWithoutPodsSaysWhereTheyWouldRun(t *testing.T) {
	drawn, err := mapOf(t, mapNodes+daemonSet("", "nodeSelector: {app: agent}, "), "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(drawn, "\n\nCOLUMN")
	want := "standard input: 2 nodes, 1 DaemonSet: 1 pod would run\n\n               1  2\ndefault/agent  ○  ·\n\n○ would run (1)   · excluded by its author (1)"
	if diff := cmp.Diff(want, head); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What the API server takes for a request, and what diff shows, counts: a limit where there is no request.
func TestAMapCountsRequestsByThePoolsThatPoolLabelNames(t *testing.T) {
	nodes := "{apiVersion: v1, kind: NodeList, items: [{metadata: {name: n-1, labels: {team: a}}}, {metadata: {name: n-2, labels: {team: b}}}]}\n"
	ds := strings.Replace(daemonSet("", ""), "image: agent", "image: agent, resources: {limits: {cpu: 100m, memory: 64Mi}}", 1)
	drawn, err := mapOf(t, nodes+ds, "-f", "-", "--pool-label", "pool,team")
	if err != nil {
		t.Fatal(err)
	}
	_, columns, _ := strings.Cut(drawn, "\n\nCOLUMN")
	want := `   POOL   ZONE     NODES   WHICH   CPU    MEMORY
1        a      <none>   1       n-1     100m   64Mi
2        b      <none>   1       n-2     100m   64Mi
`
	if diff := cmp.Diff(want, columns); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A policy that is not valid, and a namespace that is not there, are said.
func TestAMapSaysWhatItDoesNotKnow(t *testing.T) {
	policy := "---\n{apiVersion: berth.dev/v1alpha1, kind: PlacementPolicy, metadata: {name: broken}, spec: {matchConditions: [{name: a, expression: '1 +'}]}}\n"
	drawn, err := mapOf(t, mapNodes+policy+daemonSet("", ""), "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Not known: labels and annotations of namespace default, which is taken to have none: it is not among the files\n",
		"Not known: what PlacementPolicy/broken requires: it is not valid: spec.matchConditions[0].expression: ",
	} {
		if !strings.Contains(drawn, want) {
			t.Errorf("it does not say %q:\n%s", want, drawn)
		}
	}
}

func TestWhatAMapCannotBeDrawnOfIsOneClearError(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(empty, []byte("apiVersion: v1\nkind: Config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ds := daemonSet("", "")
	for _, test := range []struct{ name, stdin, args, want string }{
		{"a missing file", "", "-f nowhere.yaml", "stat nowhere.yaml: no such file or directory"},
		{"broken YAML", "a: [", "-f -", "(stdin): yaml: "},
		{"no DaemonSet", mapNodes, "-f -", "no DaemonSet is in -: add what kubectl get daemonsets -A -o yaml prints"},
		{"no nodes", ds, "-f -", "no node is in -: add what kubectl get nodes -o yaml prints"},
		{"a DaemonSet of a wrong type", mapNodes + "---\n{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a}, spec: 1}", "-f -", "(stdin):4:61: DaemonSet/a: spec: must be an object, and is a number"},
		{"no DaemonSet in the namespace", mapNodes + ds, "-f - -n other", "there is no DaemonSet in other: nothing to draw"},
		{"files and a cluster", "", "-f - --context x", "files are named and a cluster: the map is of one or the other"},
		{"no cluster", "", "--kubeconfig " + empty, "find the API server: "},
		{"a format that is none", "", "-f - -o png", "--output=png: must be FORMAT or FORMAT=FILE, with one of the formats html, svg, text"},
		{"a file that cannot be written", mapNodes + ds, "-f - -o svg=/nowhere/map.svg", "write the report as svg: open /nowhere/map.svg: "},
	} {
		stdout, err := mapOf(t, test.stdin, strings.Fields(test.args)...)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || exitCode(err) != 2 || stdout != "" {
			t.Errorf("%s: %v, stdout %q, want %q", test.name, err, stdout, test.want)
		}
	}
}
