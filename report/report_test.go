package report_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"berth.dev/berth/coverage"
	"berth.dev/berth/report"
)

var update = flag.Bool("update", false, "write the golden files: read their diff before you commit it")

// found has one of everything, and texts that mean something to each format.
func found() *report.Report {
	at := func(line, column int) report.Place {
		return report.Place{File: "agent.yaml", Line: line, Column: column}
	}
	rendered := report.Place{File: "(stdin)", Line: 3, Column: 1, Source: "chart/templates/ds.yaml"}
	return report.New([]report.DaemonSet{{
		Namespace: "team-a", Name: "agent", Place: at(1, 1), Verdict: report.Changed, Policies: []string{"own-label", "pools"},
		Patch: []byte(`[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"app":"agent"}}]`),
		Diff:  "--- agent.yaml\n+++ agent.yaml with berth\n@@ -1 +1,2 @@\n spec:\n+  nodeSelector: {app: agent} # ``` |\n",
		Nodes: &coverage.Coverage{Total: 3, Runs: []string{"n-1"}, Excluded: []coverage.Group{
			{Reason: "no label app=agent", Nodes: []string{"n-2", "n-3"}},
		}},
		Findings: []report.Finding{{
			Rule: "policy-warning", Severity: report.Warning, Object: "DaemonSet/team-a/agent", Field: "spec.template.spec", Message: "matches 1 of 3 nodes: 100% of\nthem, <b>", Place: at(9, 5),
		}, {
			Rule: "assumed-namespace", Severity: report.Note, Object: "DaemonSet/team-a/agent", Message: "namespace team-a is not among the input", Place: at(4, 3),
		}},
	}, {
		Namespace: "default", Name: "denied", Place: rendered, Verdict: report.Denied, Policies: []string{"own-label"},
		Findings: []report.Finding{{
			Rule: "policy-violation", Severity: report.Error, Object: "DaemonSet/default/denied", Field: "spec.template.spec.nodeSelector[app]",
			Message: `spec.template.spec.nodeSelector[app]: Invalid value: "b": policy "own-label" requires "a"`, Place: rendered,
		}},
	}, {
		Namespace: "kube-system", Name: "cni", Place: at(30, 1), Verdict: report.Excluded,
	}}, []report.Finding{{
		Rule: "invalid-policy", Severity: report.Error, Object: "PlacementPolicy/pools", Message: "spec: Required value: a | b", Place: at(40, 3),
	}})
}

func write(t *testing.T, r interface {
	Write(outputs []report.Output, stdout io.Writer) error
}, format string) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Write([]report.Output{{Format: format}}, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEachFormatIsWhatItsGoldenFileSays(t *testing.T) {
	for _, format := range report.Formats() {
		t.Run(format, func(t *testing.T) {
			expectGolden(t, format+".golden", write(t, found(), format))
		})
	}
}

func expectGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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

func TestSARIFIsValidByItsSchemaAndEveryRuleIsDescribed(t *testing.T) {
	for name, r := range map[string]*report.Report{
		"findings": found(), "nothing": report.New(nil, nil),
		"a policy of the cluster": report.New(nil, []report.Finding{{Rule: "invalid-policy", Severity: report.Error, Place: report.Place{File: "(cluster)"}}}),
	} {
		parsed, err := sarif.FromString(write(t, r, "sarif"), sarif.WithStrictValidation())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := parsed.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, rule := range parsed.Runs[0].Tool.Driver.Rules {
			if rule.ShortDescription == nil || *rule.ShortDescription.Text == "" {
				t.Errorf("%s: rule %s is not described", name, *rule.ID)
			}
		}
	}
}

// A rendered file has lines that can be shown; standard input has none, but the template has a name.
func TestSARIFAndGitHubNameTheTemplateAndPlacesAreWrittenAsTheyTakeThem(t *testing.T) {
	var findings []report.Finding
	for _, place := range []report.Place{
		{File: "(stdin)", Line: 3, Column: 1, Source: "chart/ds.yaml"}, {File: "(stdin)", Line: 4, Column: 1},
		{File: "a b%,:\n.yaml", Line: 5, Column: 1}, {File: "rendered.yaml", Line: 6, Column: 1, Source: "chart/ds.yaml"},
	} {
		findings = append(findings, report.Finding{Rule: "r", Severity: report.Error, Object: "o", Message: "m", Place: place})
	}
	r := report.New(nil, findings)
	parsed, err := sarif.FromString(write(t, r, "sarif"))
	if err != nil {
		t.Fatal(err)
	}
	var results []string
	for _, result := range parsed.Runs[0].Results {
		at := result.Locations[0].PhysicalLocation
		text := *at.ArtifactLocation.URI
		if at.Region != nil {
			text += fmt.Sprintf(" %d:%d", *at.Region.StartLine, *at.Region.StartColumn)
		}
		results = append(results, text+" "+*result.Message.Text)
	}
	want := []string{"chart/ds.yaml o: m (chart/ds.yaml)", "%28stdin%29 4:1 o: m", "./a%20b%25,:%0A.yaml 5:1 o: m", "rendered.yaml 6:1 o: m (chart/ds.yaml)"}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("SARIF (-want +got):\n%s", diff)
	}
	github := `::error file=chart/ds.yaml,title=berth%3A r::o: m (chart/ds.yaml)
::error file=(stdin),line=4,col=1,title=berth%3A r::o: m
::error file=a b%25%2C%3A%0A.yaml,line=5,col=1,title=berth%3A r::o: m
::error file=rendered.yaml,line=6,col=1,title=berth%3A r::o: m (chart/ds.yaml)
`
	if diff := cmp.Diff(github, write(t, r, "github")); diff != "" {
		t.Errorf("GitHub (-want +got):\n%s", diff)
	}
}

func TestJUnitIsXMLWithAFailureForEachThatHasAnError(t *testing.T) {
	var suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
	}
	if err := xml.Unmarshal([]byte(write(t, found(), "junit")), &suites); err != nil || suites.Tests != 4 || suites.Failures != 2 {
		t.Errorf("%d tests, %d failures: %v", suites.Tests, suites.Failures, err)
	}
}

func TestGitHubHasErrorsFirstAndIsToldHowManyItDoesNotShow(t *testing.T) {
	var findings []report.Finding
	for i := range 25 {
		severity := []report.Severity{report.Warning, report.Error}[i%2]
		findings = append(findings, report.Finding{Rule: "r", Severity: severity, Object: "o", Message: fmt.Sprint(i), Place: report.Place{File: "a,b:c.yaml", Line: i, Column: 1}})
	}
	lines := strings.Split(strings.TrimSpace(write(t, report.New(nil, findings), "github")), "\n")
	if len(lines) != 26 || lines[0] != "::error file=a%2Cb%3Ac.yaml,line=1,col=1,title=berth%3A r::o: 1" || !strings.HasPrefix(lines[12], "::warning ") ||
		lines[25] != "GitHub shows 10 annotations of each kind for a step: it does not show 5 annotations of these, which are in this log." {
		t.Errorf("GitHub is told\n%s", strings.Join(lines, "\n"))
	}
}

func TestMarkdownFitsACommentAndSaysWhatDidNot(t *testing.T) {
	r := found()
	for i := range 2000 {
		r.Findings = append(r.Findings, report.Finding{Rule: "r", Severity: report.Note, Object: "o", Message: strings.Repeat("a", 100), Place: report.Place{Line: i}})
	}
	got := write(t, r, "markdown")
	if len(got) > 65_536 || !strings.HasSuffix(got, " did not fit.\n") {
		t.Errorf("%d bytes, and the end is %q", len(got), got[len(got)-80:])
	}
}

// A comment has room for less than 2000 of anything.
func TestInMarkdownWhatToMendComesBeforeTheDaemonSetsAndThoseThatChangeBeforeOthers(t *testing.T) {
	last := report.Finding{Rule: "r", Severity: report.Error, Object: "o", Message: "the last is denied"}
	var daemonSets []report.DaemonSet
	for i := range 2000 {
		daemonSets = append(daemonSets, report.DaemonSet{Namespace: "n", Name: fmt.Sprint("unchanged-", i), Verdict: report.Unchanged})
	}
	daemonSets = append(daemonSets, report.DaemonSet{Namespace: "n", Name: "w", Verdict: report.Changed, Findings: []report.Finding{{Severity: report.Warning, Message: "warned"}}},
		report.DaemonSet{Namespace: "n", Name: "z", Verdict: report.Denied, Findings: []report.Finding{last}})
	expectOrder(t, write(t, report.New(daemonSets, nil), "markdown"), last.Message, "warned", "| n/z | Denied ", "| n/w | Changed ", "| n/unchanged-0 | Unchanged ", " did not fit.")
}

// expectOrder expects that these are there, one after the other.
func expectOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		_, after, found := strings.Cut(text, part)
		if !found {
			t.Fatalf("%q is not there, or too early, in %d bytes: …%q", part, len(text), text[:min(len(text), 300)])
		}
		text = after
	}
}

func TestAnOutputIsAFormatAndMaybeAFile(t *testing.T) {
	for text, want := range map[string]report.Output{"table": {Format: "table"}, "sarif=out.sarif": {Format: "sarif", File: "out.sarif"}} {
		if got, err := report.ParseOutput(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "xml", "json=", "=file"} {
		if _, err := report.ParseOutput(text); err == nil || !strings.Contains(err.Error(), "github, json, junit") {
			t.Errorf("%q: %v", text, err)
		}
	}
	path := filepath.Join(t.TempDir(), "out")
	if err := found().Write([]report.Output{{Format: "json", File: path}}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != write(t, found(), "json") {
		t.Errorf("the file has %s: %v", content, err)
	}
}

func TestOneOutputThatFailsDoesNotStopTheOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	var stdout bytes.Buffer
	err := found().Write([]report.Output{{Format: "json", File: "/nowhere/a"}, {Format: "table"}, {Format: "yaml", File: "/nowhere/b"}, {Format: "sarif", File: path}}, &stdout)
	want := "write the report as json: open /nowhere/a: no such file or directory\nwrite the report as yaml: open /nowhere/b: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != write(t, found(), "sarif") || stdout.String() != write(t, found(), "table") {
		t.Errorf("%v; the file has %s, and stdout is %s", err, content, &stdout)
	}
}

func TestWhereAllGoesIntoFilesStandardOutputGetsALine(t *testing.T) {
	for want, r := range map[string]interface {
		Write(outputs []report.Output, stdout io.Writer) error
	}{
		"3 DaemonSets checked: 2 errors, 1 warning, 1 note\n": found(), "5 of 7 DaemonSets affected, 6 nodes\n": moved(),
	} {
		var stdout bytes.Buffer
		if err := r.Write([]report.Output{{Format: "json", File: filepath.Join(t.TempDir(), "out")}}, &stdout); err != nil || stdout.String() != want {
			t.Errorf("%v, and stdout is %q, want %q", err, &stdout, want)
		}
	}
	var stdout bytes.Buffer
	if err := explained().Write(report.Output{Format: "json", File: filepath.Join(t.TempDir(), "out")}, &stdout); err != nil ||
		stdout.String() != "DaemonSet logging/agent runs on 2 of the 3 nodes that it should run on, of 8 nodes in all\n" {
		t.Errorf("%v, and stdout is %q", err, &stdout)
	}
}

func TestSeverityDecidesWhatFails(t *testing.T) {
	warning := report.New(nil, []report.Finding{{Severity: report.Warning}})
	for from, want := range map[string][2]bool{"error": {true, false}, "warning": {true, true}, "never": {false, false}} {
		if got := [2]bool{found().Fails(from), warning.Fails(from)}; got != want {
			t.Errorf("--fail-on %s: %v, want %v", from, got, want)
		}
	}
}
