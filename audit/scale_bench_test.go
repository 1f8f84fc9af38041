package audit

import (
	"fmt"
	"runtime"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// BenchmarkAudit audits 2,000 DaemonSets under 1,000 policies in 500 namespaces
// on 15,000 nodes, after one node's label has changed. Every DaemonSet has a
// placement of its own, so that nothing is remembered from one to the next.
func BenchmarkAudit(b *testing.B) {
	const policies, namespaces, nodes, daemonSets = 1000, 500, 15000, 2000
	var list []v1alpha1.PlacementPolicy
	for i := range policies {
		p := literalPolicy(fmt.Sprintf("policy-%d", i), map[string]v1alpha1.NodeLabelValue{"pool": v1alpha1.NodeLabelValue(fmt.Sprintf("pool-%d", i%20))})
		p.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprint(i % namespaces)}}
		list = append(list, p)
	}
	compiled, _ := placement.Compile(list)
	var in []placement.Namespace
	for i := range namespaces {
		in = append(in, placement.Namespace{Name: fmt.Sprintf("namespace-%d", i), Labels: map[string]string{"team": fmt.Sprint(i)}})
	}
	var changes []cluster.NodeChange
	for i := range nodes {
		changes = append(changes, cluster.NodeChange{Name: fmt.Sprintf("node-%d", i), Labels: map[string]string{
			"kubernetes.io/hostname": fmt.Sprintf("node-%d", i), "pool": fmt.Sprintf("pool-%d", i%20), "rack": fmt.Sprint(i / 40), "kubernetes.io/os": "linux",
		}})
	}
	index := (&cluster.NodeIndex{}).Apply(changes)
	snapshots := [2]*cluster.Snapshot{cluster.NewSnapshot(compiled, in, index)}
	changes[0].Labels = map[string]string{"pool": "pool-1"}
	snapshots[1] = cluster.NewSnapshot(compiled, in, index.Apply(changes[:1]))

	before := heap()
	all := map[types.NamespacedName]*appsv1.DaemonSet{}
	for i := range daemonSets {
		ds := agent(fmt.Sprintf("namespace-%d", i%namespaces), fmt.Sprintf("agent-%d", i))
		ds.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: fmt.Sprint(i), Operator: corev1.TolerationOpExists}}
		all[types.NamespacedName{Namespace: ds.Namespace, Name: ds.Name}] = ds
	}
	var s state
	s.update(b.Context(), snapshots[1], all)
	last := s.report()
	b.ResetTimer()
	for i := range b.N {
		s.update(b.Context(), snapshots[i%2], nil)
		last = s.report()
	}
	b.StopTimer()
	b.ReportMetric(float64(heap()-before)/1e6, "heap-MB")
	if len(s.entries) != daemonSets || len(last.policies) != policies {
		b.Fatalf("%d DaemonSets and %d policies audited", len(s.entries), len(last.policies))
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
