package cluster_test

import (
	"go/build"
	"strings"
	"testing"
)

// What cluster decides follows from its Snapshot: it asks nobody and tells nobody.
func TestClusterImportsNothingThatActs(t *testing.T) {
	here, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range here.Imports {
		for _, acts := range []string{
			"log", "net", "os", "time", "github.com/go-logr", "k8s.io/client-go", "sigs.k8s.io/controller-runtime", "berth.dev/berth/cluster/live",
		} {
			if path == acts || strings.HasPrefix(path, acts+"/") {
				t.Errorf("cluster imports %s: it is pure", path)
			}
		}
	}
}
