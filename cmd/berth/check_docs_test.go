package main

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/report"
)

var (
	docsFile    = regexp.MustCompile("(?s)```yaml\n# (\\S+\\.yaml)\n(.*?)```")
	docsCommand = regexp.MustCompile("(?s)```console\n\\$ berth (.*?)\n(.*?)\n```")
	docsRule    = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (?:error|warning|note) \\| (.*) \\|$")
)

// expectPrinted runs the commands of a page on its files, and returns the page.
func expectPrinted(t *testing.T, path string) string {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, file := range docsFile.FindAllStringSubmatch(string(page), -1) {
		if err := os.WriteFile(file[1], []byte("# "+file[1]+"\n"+file[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	commands := docsCommand.FindAllStringSubmatch(string(page), -1)
	if len(commands) < 2 {
		t.Fatalf("the page has %d commands", len(commands))
	}
	for _, command := range commands {
		var out bytes.Buffer
		cmd := newCommand()
		cmd.SetArgs(strings.Fields(command[1]))
		cmd.SetOut(&out)
		_ = cmd.ExecuteContext(t.Context()) // findings, and the page shows them
		if diff := cmp.Diff(command[2], strings.TrimRight(out.String(), "\n")); diff != "" {
			t.Errorf("berth %s (-the page +printed):\n%s", command[1], diff)
		}
	}
	return string(page)
}

func TestTheCommandsOfCheckPrintWhatItsPageShows(t *testing.T) {
	page := expectPrinted(t, "../../docs/check.md")
	described := map[string]string{}
	for _, rule := range docsRule.FindAllStringSubmatch(page, -1) {
		described[rule[1]] = rule[2]
	}
	if diff := cmp.Diff(report.Rules, described); diff != "" {
		t.Errorf("rules (-there +on the page):\n%s", diff)
	}
}

func TestTheCommandsOfDiffPrintWhatItsPageShows(t *testing.T) { expectPrinted(t, "../../docs/diff.md") }

// The page's own commands, on manifests of which one is refused.
func TestTheCommandsOfAPipelineWriteWhatItKeeps(t *testing.T) {
	page, err := os.ReadFile("../../docs/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	const refused = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a}, spec: {selector: {matchLabels: {app: a}}, template: " +
		"{metadata: {labels: {app: a}}, spec: {nodeSelector: {pool: b}, containers: [{name: a, image: a}]}}}}\n"
	const facts = "{apiVersion: berth.dev/v1alpha1, kind: PlacementPolicy, metadata: {name: pool}, spec: {nodeSelector: {pool: a}}}\n---\n" +
		"{apiVersion: v1, kind: Node, metadata: {name: n-1, labels: {pool: a}}}\n"
	t.Chdir(t.TempDir())
	if err := errors.Join(os.Mkdir("manifests", 0o700), os.WriteFile("manifests/ds.yaml", []byte(refused), 0o600), os.WriteFile("cluster.yaml", []byte(facts), 0o600)); err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?m)berth (check -f .*)$").FindAllStringSubmatch(string(page), -1)
	if len(commands) != 4 {
		t.Errorf("the page has %d commands: %q", len(commands), commands)
	}
	for _, command := range commands {
		var out bytes.Buffer
		cmd := newCommand()
		cmd.SetArgs(strings.Fields(command[1]))
		cmd.SetIn(strings.NewReader(refused))
		cmd.SetOut(&out)
		if err := cmd.ExecuteContext(t.Context()); !errors.Is(err, errFindings) || !strings.Contains(out.String(), "pool") {
			t.Errorf("berth %s: %v\n%s", command[1], err, out.String())
		}
	}
	for file, holds := range map[string]string{"summary.md": "policy-violation", "berth.xml": "<failure"} {
		if content, err := os.ReadFile(file); err != nil || !strings.Contains(string(content), holds) {
			t.Errorf("%s does not have %q: %v\n%s", file, holds, err, content)
		}
	}
}
