package cluster

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// BenchmarkSnapshot is what each kind of change costs in a cluster of 1,000
// namespaces and 100 policies, none of it on the path of a request.
func BenchmarkSnapshot(b *testing.B) {
	const teams, size = 100, 1000
	list := make([]v1alpha1.PlacementPolicy, teams)
	for i := range list {
		list[i].Name = fmt.Sprintf("policy-%d", i)
		list[i].Spec.NodeSelector = map[string]v1alpha1.NodeLabelValue{"pool": "blue"}
		list[i].Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprint(i)}}
	}
	policies, failed := placement.Compile(list)
	if len(failed) > 0 {
		b.Fatal(failed)
	}
	namespaces := make([]placement.Namespace, size)
	for i := range namespaces {
		namespaces[i] = placement.Namespace{Name: fmt.Sprintf("namespace-%d", i), Labels: map[string]string{"team": fmt.Sprint(i % teams)}}
	}
	snapshot := NewSnapshot(policies, namespaces, &NodeIndex{})

	b.Run("policy-changed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			snapshot.WithPolicies(policies, nil)
		}
	})
	b.Run("namespace-changed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			snapshot.WithNamespaces([]NamespaceChange{{Namespace: namespaces[7]}})
		}
	})
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			snapshot.PoliciesFor("namespace-7")
		}
	})
}
