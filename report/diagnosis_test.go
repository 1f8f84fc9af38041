package report_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/doctor"
	"berth.dev/berth/report"
)

func TestADiagnosisSaysOfEachSectionWhatToMend(t *testing.T) {
	d := &doctor.Diagnosis{Sections: []doctor.Section{
		{Name: "webhooks", Findings: []doctor.Finding{
			{Outcome: doctor.Good, Message: "berth answers"},
			{Outcome: doctor.Bad, Message: "it does\nnot \x1b[31m", Advice: "look at it", Docs: "docs/outage.md"},
		}},
		{Name: "rights", Findings: []doctor.Finding{{Outcome: doctor.Unknown, Message: "may not be read"}, {Outcome: doctor.Note, Message: "one"}}},
	}}
	var got strings.Builder
	if err := report.WriteDiagnosis(&got, "text", d); err != nil {
		t.Fatal(err)
	}
	const want = `webhooks
  ✓ berth answers
  ✗ it does not ^[[31m
      look at it
      docs/outage.md
rights
  ? may not be read
  · one

1 ✓, 1 ✗, 1 could not be found out
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d.Healthy() {
		t.Error("it is healthy, with something to mend")
	}
}
