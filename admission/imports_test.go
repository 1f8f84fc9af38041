package admission

import (
	"go/build"
	"strings"
	"testing"
)

// admission is bytes in and bytes out: how they travel, what is counted and what is logged is for others to know.
func TestAdmissionImportsNothingThatActs(t *testing.T) {
	here, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range here.Imports {
		for _, acts := range []string{
			"log", "net", "os", "github.com/go-logr", "github.com/prometheus", "k8s.io/client-go", "sigs.k8s.io/controller-runtime",
			"berth.dev/berth/cluster/live", "berth.dev/berth/webhook",
		} {
			if path == acts || strings.HasPrefix(path, acts+"/") {
				t.Errorf("admission imports %s: it is the bytes only", path)
			}
		}
	}
}
