package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

func TestValidateSaysAllThatIsWrongWithAPolicy(t *testing.T) {
	policy := &v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: "wrong"}}
	policy.Spec.NodeSelector = map[string]v1alpha1.NodeLabelValue{"pool": "blue"}
	if errs := cluster.Validate(policy); errs != nil {
		t.Errorf("a good policy: %v", errs)
	}
	policy.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Nearby"}},
	}
	policy.Spec.MatchConditions = []v1alpha1.MatchCondition{{Name: "number", Expression: "1"}}
	var got []string
	for _, err := range cluster.Validate(policy) {
		got = append(got, err.Error())
	}
	want := []string{
		`spec.matchConstraints.namespaceSelector.matchExpressions[0].operator: Invalid value: "Nearby": not a valid selector operator`,
		`spec.matchConditions[0].expression: Invalid value: "1": must yield a bool, and yields int`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestANamespaceLooksToConditionsAsItDoesToKubectl(t *testing.T) {
	full := placement.Namespace{Name: "n", Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "2"}}
	want := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{
		"name": "n", "labels": map[string]any{"l": "1"}, "annotations": map[string]any{"a": "2"},
	}}
	if diff := cmp.Diff(want, cluster.NamespaceObject(full)); diff != "" {
		t.Errorf("with labels and annotations (-want +got):\n%s", diff)
	}
	want = map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "n"}}
	if diff := cmp.Diff(want, cluster.NamespaceObject(placement.Namespace{Name: "n"})); diff != "" {
		t.Errorf("without any (-want +got):\n%s", diff)
	}
}
