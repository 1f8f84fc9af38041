package live_test

import (
	"fmt"
	"os"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/api/v1alpha1"
)

// The same table runs against placement.Compile in package placement.
func TestTheAPIServerTakesAndRefusesWhatCompileDoes(t *testing.T) {
	raw, err := os.ReadFile("../../api/v1alpha1/testdata/policies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Good, Bad []map[string]any }
	if err := yaml.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	c := admin(t)
	create := func(name string, spec map[string]any) error {
		policy := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		policy.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("PlacementPolicy"))
		policy.SetName(name)
		return c.Create(t.Context(), policy, client.DryRunAll)
	}
	for i, spec := range table.Good {
		if err := create(fmt.Sprint("good-", i), spec); err != nil {
			t.Errorf("good[%d] is refused: %v", i, err)
		}
	}
	for i, spec := range table.Bad {
		if err := create(fmt.Sprint("bad-", i), spec); !apierrors.IsInvalid(err) {
			t.Errorf("bad[%d] is taken: %v: %v", i, spec, err)
		}
	}
}
