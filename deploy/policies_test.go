package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

func TestReadyMadePoliciesCompileUnderTheNameOfTheirFile(t *testing.T) {
	files, err := filepath.Glob("policies/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no policies: %v", err)
	}
	for _, file := range files {
		policy := readPolicy(t, file)
		if _, failed := placement.Compile([]v1alpha1.PlacementPolicy{policy}); len(failed) > 0 {
			t.Errorf("%s: %v", file, failed)
		}
		if diff := cmp.Diff(filepath.Base(file), policy.Name+".yaml"); diff != "" {
			t.Errorf("name (-file +policy):\n%s", diff)
		}
	}
}

func readPolicy(t *testing.T, file string) v1alpha1.PlacementPolicy {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var policy v1alpha1.PlacementPolicy
	if err := yaml.UnmarshalStrict(raw, &policy); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return policy
}
