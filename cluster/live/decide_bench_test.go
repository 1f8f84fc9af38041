package live

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// scaleNodesOf is the first n nodes of the scale.
func scaleNodesOf(b *testing.B, n int) *cluster.NodeIndex {
	b.Helper()
	var changes []cluster.NodeChange
	for _, node := range scaleOf(b).nodes[:n] {
		changes = append(changes, cluster.NodeChange{Name: node.Name, Labels: node.Labels, Taints: node.Spec.Taints})
	}
	return (&cluster.NodeIndex{}).Apply(changes)
}

// ownLabel is an update of a DaemonSet whose template has its own label.
func ownLabel(b *testing.B) (updated, old *appsv1.DaemonSet) {
	b.Helper()
	old, err := decodedDaemonSet(1)
	if err != nil {
		b.Fatal(err)
	}
	old.Spec.Template.Spec.NodeSelector = map[string]string{"app": "example"}
	updated = old.DeepCopy()
	updated.Spec.Template.Spec.Containers[0].Image = "registry.example.com/team/agent:1.2.4"
	return updated, old
}

func rolled(updated, old *appsv1.DaemonSet) *placement.Question {
	return &placement.Question{New: placement.ObjectOf(updated), Old: placement.ObjectOf(old), RestChanged: true}
}

// BenchmarkDecide is what one request costs from the snapshot to the decision,
// nodeChecks included, where one of the policies is for its namespace.
func BenchmarkDecide(b *testing.B) {
	for _, nodes := range []int{0, 1000, 15000} {
		index := scaleNodesOf(b, nodes)
		for _, n := range []int{1, 100, 1000} {
			policies, failed := placement.Compile(manyPolicies(n, n))
			if len(failed) > 0 {
				b.Fatal(failed)
			}
			namespaces := []placement.Namespace{{Name: "namespace-1", Labels: map[string]string{"team": "0"}}}
			snapshot := cluster.NewSnapshot(policies, namespaces, index)
			b.Run(fmt.Sprintf("nodes=%d/policies=%d", nodes, n), func(b *testing.B) {
				q := cluster.Question{Question: *rolled(ownLabel(b))}
				b.ReportAllocs()
				for b.Loop() {
					q.Policies, _ = snapshot.PoliciesFor("namespace-1")
					snapshot.Evaluate(&q)
				}
			})
		}
	}
}

// BenchmarkDecideNodeChecks is a decision about templates that ask more of the
// index than one label.
func BenchmarkDecideNodeChecks(b *testing.B) {
	index := scaleNodesOf(b, scaleNodes)
	policies, failed := placement.Compile(manyPolicies(1, 1))
	if len(failed) > 0 {
		b.Fatal(failed)
	}
	edits := []struct {
		name string
		edit func(*appsv1.DaemonSet)
	}{
		{"from all nodes to few", func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeSelector = nil }},
		{"affinity and tolerations", func(ds *appsv1.DaemonSet) {
			ds.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
			ds.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{
						{Key: "topology.kubernetes.io/zone", Operator: corev1.NodeSelectorOpIn, Values: []string{"eu-central-1a", "eu-central-1b"}},
						{Key: "karpenter.sh/capacity-type", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"on-demand"}},
						{Key: "example.com/rack", Operator: corev1.NodeSelectorOpGt, Values: []string{"100"}},
					},
				}}},
			}}
		}},
		{"a label that no node has", func(ds *appsv1.DaemonSet) {
			ds.Spec.Selector.MatchLabels = map[string]string{"app": "exampel"}
			ds.Spec.Template.Labels = ds.Spec.Selector.MatchLabels
			ds.Spec.Template.Spec.NodeSelector = nil
		}},
		{"a host name that no node has", func(ds *appsv1.DaemonSet) {
			ds.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "ip-10-0-1-1.eu-central-1.compute.interal"}
		}},
	}
	for _, e := range edits {
		b.Run(e.name, func(b *testing.B) {
			updated, old := ownLabel(b)
			e.edit(updated)
			q := rolled(updated, old)
			q.Nodes = index
			b.ReportAllocs()
			for b.Loop() {
				policies.InNamespace(placement.Namespace{}).Select(q.New, q.Old, nil).Decide(q)
			}
		})
	}
}
