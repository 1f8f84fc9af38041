package report

import (
	"encoding/json"
	"io"

	"sigs.k8s.io/yaml"
)

func asJSON[R any](w io.Writer, r R) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

func asYAML[R any](w io.Writer, r R) error {
	encoded, err := yaml.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(encoded)
	return err
}

// diff is the changes of all DaemonSets, one after the other, as git apply would take them.
func diff(w io.Writer, r *Report) error {
	for i := range r.DaemonSets {
		if _, err := io.WriteString(w, r.DaemonSets[i].Diff); err != nil {
			return err
		}
	}
	return nil
}
