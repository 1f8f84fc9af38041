package report

import (
	"encoding/json"
	"io"
	"strings"
)

func asJSON[R any](w io.Writer, r R) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

func asYAML[R any](w io.Writer, r R) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	encoded, err := YAML(raw)
	if err != nil {
		return err
	}
	_, err = w.Write(encoded)
	return err
}

// diff is what berth changes of each DaemonSet, one after the other. It is for people: each is compared as YAML that is written anew,
// without the comments and the order of the file, so that no tool can apply it there.
func diff(w io.Writer, r *Report) error {
	for i := range r.DaemonSets {
		if _, err := io.WriteString(w, r.DaemonSets[i].diff()); err != nil {
			return err
		}
	}
	return nil
}

// diff is Diff as it may be printed. The name of the file, which stands in its first two lines, has no end of a line.
func (ds *DaemonSet) diff() string {
	return visibleLines(strings.Replace(ds.Diff, ds.Place.File, visible(ds.Place.File), 2), "\n")
}
