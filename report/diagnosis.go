package report

import (
	"fmt"
	"io"
	"strings"

	"berth.dev/berth/doctor"
)

var marks = map[doctor.Outcome]string{doctor.Good: "✓", doctor.Bad: "✗", doctor.Note: "·", doctor.Unknown: "?"}

// WriteDiagnosis writes what doctor has found, as text, yaml or json.
func WriteDiagnosis(w io.Writer, format string, d *doctor.Diagnosis) error {
	switch format {
	case "yaml":
		return asYAML(w, d)
	case "json":
		return asJSON(w, d)
	}
	var text strings.Builder
	sum := map[doctor.Outcome]int{}
	for _, section := range d.Sections {
		fmt.Fprintf(&text, "%s\n", section.Name)
		for _, f := range section.Findings {
			sum[f.Outcome]++
			fmt.Fprintf(&text, "  %s %s\n", marks[f.Outcome], plain(f.Message))
			if f.Advice != "" {
				fmt.Fprintf(&text, "      %s\n", plain(f.Advice))
			}
			if f.Docs != "" {
				fmt.Fprintf(&text, "      %s\n", f.Docs)
			}
		}
	}
	fmt.Fprintf(&text, "\n%d ✓, %d ✗, %d could not be found out\n", sum[doctor.Good], sum[doctor.Bad], sum[doctor.Unknown])
	_, err := io.WriteString(w, text.String())
	return err
}
