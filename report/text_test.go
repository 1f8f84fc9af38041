package report_test

import (
	"strings"
	"testing"
	"unicode"

	"berth.dev/berth/coverage"
	"berth.dev/berth/report"
)

// hostile has what terminals, CI systems and Markdown take for something else than text.
const hostile = "::group::a\x1b[31m\a\b\x7f\u009b\u202e\n::add-mask::b\t@all <img src=x> | `c` ##[group] ##vso[a]"

// expectHarmless expects that no line is a command of a CI system, and that a terminal shows the text and does nothing else.
func expectHarmless(t *testing.T, format, got string) {
	t.Helper()
	for line := range strings.Lines(got) {
		if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") || strings.Contains(line, "##vso[") {
			t.Errorf("%s has the line %q", format, line)
		}
	}
	if i := strings.IndexFunc(got, func(r rune) bool { return r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf) }); i >= 0 {
		t.Errorf("%s has %q", format, got[i:])
	}
	markup, _, _ := strings.Cut(got, "```")
	if format == "markdown" && (strings.Contains(markup, "<img") || strings.Contains(markup, "@all")) {
		t.Errorf("%s is %q", format, markup)
	}
}

func TestNothingInAFileOrItsNameIsACommandForTheTerminalOrTheCISystem(t *testing.T) {
	place := report.Place{File: hostile, Line: 1, Column: 1, Source: hostile}
	r := report.New([]report.DaemonSet{{
		Namespace: hostile, Name: hostile, Verdict: report.Changed, Policies: []string{hostile}, Place: place,
		Diff:  "--- " + hostile + "\n+++ " + hostile + " with berth\n@@ -1 +1 @@\n-a\n+b\n   ::add-mask::\u202ec\n",
		Nodes: &coverage.Coverage{Total: 1, Excluded: []coverage.Group{{Reason: hostile, Nodes: []string{hostile}}}},
	}}, []report.Finding{
		{Rule: "r", Severity: report.Error, Object: hostile, Message: hostile, Place: place},
		{Rule: "r", Severity: report.Error, Object: hostile, Message: hostile, Place: report.Place{File: hostile}},
	})
	for _, format := range []string{"table", "wide", "diff", "markdown"} {
		expectHarmless(t, format, write(t, r, format))
	}
	for line := range strings.Lines(write(t, r, "github")) {
		if !strings.HasPrefix(line, "::error ") {
			t.Errorf("GitHub gets the line %q", line)
		}
	}
}

func TestAPlaceIsWrittenAsTheFileIsCalled(t *testing.T) {
	for place, want := range map[report.Place]string{
		{File: " two  spaces.yaml", Line: 1, Column: 2}:           " two  spaces.yaml:1:2",
		{File: "::a.yaml", Line: 1, Column: 2}:                    "\uFFFD:a.yaml:1:2",
		{File: "a\nb\u202e.yaml"}:                                 "a\uFFFDb\uFFFD.yaml",
		{File: "a\x1b", Line: 1, Column: 2, Source: "b\r\u2028c"}: "a^[:1:2 (b\\r\uFFFDc)",
	} {
		if got := place.String(); got != want {
			t.Errorf("%q is %q, want %q", place.File, got, want)
		}
	}
}
