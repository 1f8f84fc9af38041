package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/report"
)

// check runs berth check on manifests from standard input.
func check(t *testing.T, input string, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetArgs(append([]string{"check", "-f", "-"}, args...))
	cmd.SetIn(strings.NewReader(input))
	cmd.SetOut(&out)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

const facts = `
apiVersion: berth.dev/v1alpha1
kind: PlacementPolicy
metadata: {name: own-label}
spec:
  matchConstraints: {namespaceSelector: {matchLabels: {team: a}}}
  matchConditions: [{name: not-eve, expression: "request.userInfo.username != 'eve'"}]
  nodeSelectorFrom: [{type: WorkloadSelector}]
---
{apiVersion: v1, kind: Namespace, metadata: {name: demo, labels: {team: a}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n-1, labels: {app: agent}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n-2}}
`

// daemonSet is one of the app "agent".
func daemonSet(namespace, podSpec string) string {
	return "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent" + namespace + "}\nspec:\n  selector: {matchLabels: {app: agent}}\n" +
		"  template:\n    metadata: {labels: {app: agent}}\n    spec: {" + podSpec + "containers: [{name: agent, image: agent}]}\n"
}

// answers is what a report says of each DaemonSet, and of the input.
func answers(t *testing.T, stdout string) (all []string) {
	t.Helper()
	var r report.Report
	if err := yaml.UnmarshalStrict([]byte(stdout), &r); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	for _, ds := range r.DaemonSets {
		text := ds.Namespace + ": " + string(ds.Verdict) + " " + strings.Join(ds.Policies, ",")
		if ds.Nodes != nil {
			text += " on " + strings.Join(ds.Nodes.Runs, ",")
		}
		all = append(all, text)
	}
	for _, f := range r.All() {
		if report.Rules[f.Rule] == "" {
			t.Errorf("the rule %q is not described", f.Rule)
		}
		all = append(all, string(f.Severity)+" "+f.Rule)
	}
	return all
}

// What JSON takes in a string and YAML does not, in what berth changes and in what it only names.
func TestCheckPrintsEveryCharacterThatAManifestCanHave(t *testing.T) {
	const odd = `\x7f \x9b \uFFFE \uFFFF \uFEFF \x85 \U0001F600`
	input := facts + strings.Replace(daemonSet(", namespace: demo", ""), "namespace: demo", `namespace: demo, annotations: {x: "`+odd+`"}`, 1) +
		daemonSet(`, namespace: "`+odd+`"`, "")
	for _, format := range []string{"yaml", "json", "diff", "table", "wide", "markdown", "junit", "sarif", "github"} {
		stdout, err := check(t, input, "-o", format)
		if !errors.Is(err, errFindings) || stdout == "" {
			t.Errorf("%s: %v, printed %q", format, err, stdout)
		}
	}
	stdout, _ := check(t, input, "-o", "yaml")
	if got := answers(t, stdout); len(got) < 2 {
		t.Errorf("%v\n%s", got, stdout)
	}
}

func TestCheckSaysOfEachDaemonSetWhatTheServerWould(t *testing.T) {
	tests := map[string]struct {
		input string
		args  []string
		want  []string
		fails bool
	}{
		"one that a policy places": {input: facts + daemonSet(", namespace: demo", ""), want: []string{"demo: Changed own-label on n-1"}},
		"by the namespace of -n":   {input: facts + daemonSet("", ""), args: []string{"-n", "demo"}, want: []string{"demo: Changed own-label on n-1"}},
		"by the user of --as":      {input: facts + daemonSet(", namespace: demo", ""), args: []string{"--as", "eve"}, want: []string{"demo: Unchanged  on n-1,n-2"}},
		"one that has it all":      {input: facts + daemonSet(", namespace: demo", "nodeSelector: {app: agent}, "), want: []string{"demo: Unchanged own-label on n-1"}},
		"one of an unknown namespace": {
			input: facts + daemonSet(", namespace: other", ""), want: []string{"other: NoPolicy  on n-1,n-2", "note assumed-namespace"},
		},
		"one that the webhooks leave out": {input: facts + daemonSet(", namespace: kube-system", ""), want: []string{"kube-system: Excluded  on n-1,n-2"}},
		"one of the system tier": {
			input: facts + daemonSet(", namespace: kube-system", ""), args: []string{"--system-tier"},
			want: []string{"kube-system: NoPolicy  on n-1,n-2", "note assumed-namespace"},
		},
		"one of a critical class": {
			input: facts + daemonSet(", namespace: demo", "priorityClassName: system-node-critical, "), want: []string{"demo: Excluded  on n-1,n-2"},
		},
		"one that the webhooks' own selector leaves out": {
			input: facts + daemonSet(", namespace: demo", ""), args: []string{`--namespace-selector={"matchLabels":{"team":"b"}}`},
			want: []string{"demo: Excluded  on n-1,n-2"},
		},
		"one that the selector leaves out, with a system tier": {
			input: facts + daemonSet(", namespace: demo", ""), args: []string{"--system-tier", `--namespace-selector={"matchLabels":{"team":"b"}}`},
			want: []string{"demo: Excluded  on n-1,n-2"},
		},
		"one that is denied": {
			input: facts + daemonSet(", namespace: demo", "nodeSelector: {app: other}, "), fails: true,
			want: []string{"demo: Denied own-label", "error policy-violation"},
		},
		"one that is denied, and nobody minds": {
			input: facts + daemonSet(", namespace: demo", "nodeSelector: {app: other}, "), args: []string{"--fail-on=never"},
			want: []string{"demo: Denied own-label", "error policy-violation"},
		},
		"one that matches no node": {
			input: facts + strings.ReplaceAll(daemonSet(", namespace: demo", ""), "app: agent", "app: nobody"), args: []string{"--fail-on=warning"}, fails: true,
			want: []string{"demo: Changed own-label on ", "warning policy-warning"},
		},
		"one without a policy and a node": {input: daemonSet("", ""), want: []string{"default: NoPolicy ", "note unknown-policies", "note unknown-nodes"}},
		"malformed": {
			input: facts + daemonSet(", namespace: demo", "tolerations: {}, "), fails: true, want: []string{"demo: Denied ", "error malformed"},
		},
		"one that the API server refuses": {
			input: facts + daemonSet(", namespace: demo", "tolerations: [{key: a, operator: Exists, value: b}], "), fails: true,
			want: []string{"demo: Denied own-label", "error malformed"},
		},
		"one that the API server refuses, which the webhooks leave out": {
			input: facts + daemonSet(", namespace: kube-system", "nodeSelector: {a b: c}, "), fails: true, want: []string{"kube-system: Denied ", "error malformed"},
		},
		"one with a field that there is not": {
			input: facts + daemonSet(", namespace: demo", "nodeSelectors: {a: b}, "), fails: true,
			want: []string{"demo: Changed own-label on n-1", "error unknown-field"},
		},
		"one that is a hook of Helm": {
			input: facts + daemonSet(", namespace: demo, annotations: {helm.sh/hook: pre-install}", ""), want: []string{"demo: Changed own-label on n-1", "note helm-hook"},
		},
		"one whose namespace cannot be written": {
			input: facts + daemonSet(", namespace: \"a\\u0007\"", ""), fails: true, want: []string{"a\a: Denied ", "error malformed", "note assumed-namespace"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, err := check(t, test.input, append(test.args, "-o", "yaml")...)
			if err != nil && !errors.Is(err, errFindings) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, answers(t, stdout)); diff != "" || (err != nil) != test.fails {
				t.Errorf("ends with %v; report (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestCheckReadsFilesAndWritesAFilePerFormat(t *testing.T) {
	policies, manifest := writeFile(t, "policies.yaml", facts), writeFile(t, "agent.yaml", daemonSet(", namespace: demo", ""))
	out := filepath.Join(t.TempDir(), "berth.sarif")
	stdout, err := run(t, "check", "-f", manifest, "--policies", policies, "-o", "diff", "-o", "sarif="+out)
	if err != nil {
		t.Fatal(err)
	}
	if want := "       - image: agent\n         name: agent\n+      nodeSelector:\n+        app: agent\n"; !strings.Contains(stdout, want) {
		t.Errorf("the diff is\n%s", stdout)
	}
	if content, err := os.ReadFile(out); err != nil || !strings.Contains(string(content), `"version": "2.1.0"`) {
		t.Errorf("SARIF: %s, %v", content, err)
	}
}

func TestAFindingInAChartOnStandardInputIsAtItsTemplate(t *testing.T) {
	chart := strings.Replace(daemonSet(", namespace: demo", "nodeSelector: {app: other}, "), "---\n", "---\n# Source: chart/templates/ds.yaml\n", 1)
	stdout, err := check(t, facts+chart, "-o", "github")
	if !errors.Is(err, errFindings) || !strings.HasPrefix(stdout, "::error file=chart/templates/ds.yaml,title=") {
		t.Errorf("%v, and GitHub is told\n%s", err, stdout)
	}
}

func TestWhatCheckCannotRunOnIsOneClearError(t *testing.T) {
	for _, test := range []struct {
		input string
		args  []string
		want  string
	}{
		{"a: [", nil, "(stdin): yaml: line 1: did not find expected node content"},
		{"apiVersion: v1\nkind: Pod", nil, "no DaemonSet and no PlacementPolicy is in - (objects of other kinds: 1)"},
		{"", []string{"-f", "nothing.yaml"}, "stat nothing.yaml: no such file or directory"},
		{"", []string{"-o", "xml"}, "--output=xml: must be FORMAT or FORMAT=FILE, with one of the formats diff, github, json"},
		{daemonSet("", ""), []string{"-o", "json=no/such/folder"}, "write the report as json: open no/such/folder"},
	} {
		if _, err := check(t, test.input, test.args...); err == nil || !strings.HasPrefix(err.Error(), test.want) || exitCode(err) != 2 {
			t.Errorf("%q %q: %v, want %s", test.input, test.args, err, test.want)
		}
	}
	if _, err := run(t, "check"); err == nil || !strings.HasPrefix(err.Error(), "no DaemonSets to check: name a file") {
		t.Errorf("without files: %v", err)
	}
	if exitCode(errFindings) != 1 {
		t.Error("findings do not end with 1")
	}
}
