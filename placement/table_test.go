package placement_test

import (
	"os"
	"testing"

	"sigs.k8s.io/yaml"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// The same table runs against the schema, on an API server, in package live.
func TestCompileTakesAndRefusesWhatTheSchemaDoes(t *testing.T) {
	raw, err := os.ReadFile("../api/v1alpha1/testdata/policies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Good, Bad []v1alpha1.PlacementPolicySpec
	}
	if err := yaml.UnmarshalStrict(raw, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Good) == 0 || len(table.Bad) == 0 {
		t.Fatal("the table is empty")
	}
	for i, spec := range table.Good {
		if _, failed := placement.Compile([]v1alpha1.PlacementPolicy{{Spec: spec}}); len(failed) > 0 {
			t.Errorf("good[%d] is refused: %v", i, failed)
		}
	}
	for i, spec := range table.Bad {
		if _, failed := placement.Compile([]v1alpha1.PlacementPolicy{{Spec: spec}}); len(failed) == 0 {
			t.Errorf("bad[%d] is taken: %+v", i, spec)
		}
	}
}
