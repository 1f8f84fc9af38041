package main

import (
	"bytes"
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
