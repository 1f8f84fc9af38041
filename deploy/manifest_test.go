package deploy

import (
	"bytes"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// document is one object of berth.yaml.
type document struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	raw []byte
}

// documents reads berth.yaml, in its order.
func documents(t *testing.T) []document {
	t.Helper()
	manifest, err := os.ReadFile("berth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, manifest)
}

// parse reads the objects of a manifest, in its order.
func parse(t *testing.T, manifest []byte) []document {
	t.Helper()
	var read []document
	for raw := range bytes.SplitSeq(manifest, []byte("\n---\n")) {
		d := document{raw: raw}
		if err := yaml.Unmarshal(raw, &d); err != nil {
			t.Fatalf("%v in:\n%s", err, raw)
		}
		if d.Kind != "" {
			read = append(read, d)
		}
	}
	return read
}

// decode decodes the only object of a kind, or of KIND/NAME, strictly: a field that
// its type does not know is an error.
func decode[T any](t *testing.T, kind string) T {
	t.Helper()
	kind, name, named := strings.Cut(kind, "/")
	var objects []T
	for _, d := range documents(t) {
		if d.Kind != kind || named && d.Name != name {
			continue
		}
		var object T
		if err := yaml.UnmarshalStrict(d.raw, &object); err != nil {
			t.Fatalf("decode %s %s: %v", kind, d.Name, err)
		}
		objects = append(objects, object)
	}
	if len(objects) != 1 {
		t.Fatalf("berth.yaml has %d objects of kind %s, want 1", len(objects), kind)
	}
	return objects[0]
}
