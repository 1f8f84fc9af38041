package audit

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

func literalPolicy(name string, labels map[string]v1alpha1.NodeLabelValue) v1alpha1.PlacementPolicy {
	return v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.PlacementPolicySpec{NodeSelector: labels}}
}

func agent(namespace, name string) *appsv1.DaemonSet {
	labels := map[string]string{"app": name}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	ds.Spec.Template.Labels = labels
	return ds
}

func snapshotOf(t testing.TB, nodes []cluster.NodeChange, policies ...v1alpha1.PlacementPolicy) *cluster.Snapshot {
	t.Helper()
	compiled, failed := placement.Compile(policies)
	if len(failed) > 0 {
		t.Fatal(failed)
	}
	return cluster.NewSnapshot(compiled, []placement.Namespace{{Name: "demo"}}, (&cluster.NodeIndex{}).Apply(nodes))
}

func byKey(list ...*appsv1.DaemonSet) map[types.NamespacedName]*appsv1.DaemonSet {
	all := map[types.NamespacedName]*appsv1.DaemonSet{}
	for _, ds := range list {
		all[types.NamespacedName{Namespace: ds.Namespace, Name: ds.Name}] = ds
	}
	return all
}

func TestANodeOfTwoDaemonSetsCountsOnce(t *testing.T) {
	nodes := []cluster.NodeChange{
		{Name: "n-1", Labels: map[string]string{"pool": "blue"}},
		{Name: "n-2", Labels: map[string]string{"pool": "blue"}, Taints: []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}},
		{Name: "n-3", Labels: map[string]string{"pool": "red"}},
	}
	one, two, three := agent("demo", "one"), agent("demo", "two"), agent("demo", "three")
	one.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "blue"}
	two.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "blue"}
	three.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "blue"}
	three.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	var s state
	s.update(t.Context(), snapshotOf(t, nodes, literalPolicy("blue", map[string]v1alpha1.NodeLabelValue{"pool": "blue"})), byKey(one, two, three))
	want := policyReport{
		daemonSets: v1alpha1.DaemonSetCounts{Matched: 3, Compliant: 3},
		nodes:      v1alpha1.NodeCounts{Matched: 2, Total: 3},
	}
	if diff := cmp.Diff(want, s.report().policies["blue"], cmp.AllowUnexported(policyReport{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAProblemIsToldOnce(t *testing.T) {
	good, bad := agent("demo", "agent"), agent("demo", "agent")
	good.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "blue"}
	bad.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "red"}
	bad.Generation = 1
	anew := bad.DeepCopy()
	anew.UID = "another"
	nodes := []cluster.NodeChange{{Name: "n-1", Labels: map[string]string{"pool": "blue"}}}
	policy := literalPolicy("blue", map[string]v1alpha1.NodeLabelValue{"pool": "blue"})
	trial := literalPolicy("trial", map[string]v1alpha1.NodeLabelValue{"disk": "ssd"})
	trial.Spec.Mode = v1alpha1.ModeAudit
	first, second := snapshotOf(t, nodes, policy, trial), snapshotOf(t, nodes, policy, trial)
	steps := []struct {
		name     string
		snapshot *cluster.Snapshot
		ds       *appsv1.DaemonSet
		want     int
	}{
		{"complies", first, good, 0},
		{"stops", first, bad, 1},
		{"is counted", first, bad, 0},
		{"is decided again", second, bad, 0},
		{"is made anew", second, anew, 1},
		{"complies again", second, good, 0},
		{"stops again", second, bad, 1},
	}
	var s state
	for _, step := range steps {
		s.update(t.Context(), step.snapshot, byKey(step.ds))
		if got := len(s.tell(10)); got != step.want {
			t.Errorf("%s: %d problems, want %d", step.name, got, step.want)
		}
	}
}

func TestManyProblemsAreToldOneAfterTheOther(t *testing.T) {
	mended := agent("demo", "b")
	mended.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "blue"}
	mended.Generation = 1
	nodes := []cluster.NodeChange{{Name: "n-1", Labels: map[string]string{"pool": "blue"}}}
	snapshot := snapshotOf(t, nodes, literalPolicy("blue", map[string]v1alpha1.NodeLabelValue{"pool": "blue"}))
	var s state
	s.update(t.Context(), snapshot, byKey(agent("demo", "a"), agent("demo", "b"), agent("demo", "c"), agent("demo", "d")))
	told := func() (names []string) {
		for _, p := range s.tell(1) {
			names = append(names, p.daemonSet.Name)
		}
		return names
	}
	got := [][]string{told()}
	s.update(t.Context(), snapshot, byKey(mended))
	s.update(t.Context(), snapshot, map[types.NamespacedName]*appsv1.DaemonSet{{Namespace: "demo", Name: "c"}: nil})
	got = append(got, told(), told())
	if diff := cmp.Diff([][]string{{"a"}, {"d"}, nil}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMetricsHaveABound(t *testing.T) {
	var list []*appsv1.DaemonSet
	for i := range maxDaemonSets + 5 {
		list = append(list, agent("demo", fmt.Sprintf("agent-%04d", i)))
	}
	list = append(list, agent("elsewhere", "agent")) // in no policy's scope
	var s state
	policies := []v1alpha1.PlacementPolicy{literalPolicy("blue", map[string]v1alpha1.NodeLabelValue{"pool": "blue"})}
	for i := range maxPolicies {
		elsewhere := literalPolicy(fmt.Sprintf("p-%04d", i), map[string]v1alpha1.NodeLabelValue{"pool": "blue"})
		elsewhere.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"nowhere": "yes"}}
		policies = append(policies, elsewhere)
	}
	s.update(t.Context(), snapshotOf(t, nil, policies...), byKey(list...))
	auditor := New(Options{})
	count := func() (series int, omitted float64) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(auditor)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			switch family.GetName() {
			case "berth_daemonset_nodes", "berth_policy_daemonsets":
				series += len(family.GetMetric())
			default:
				omitted = family.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return series, omitted
	}
	if series, omitted := count(); series != 0 || omitted != 0 {
		t.Errorf("a replica that does not lead has %d series", series)
	}
	auditor.report.Store(s.report())
	if series, omitted := count(); series != 5*maxDaemonSets+3*maxPolicies || omitted != 5 {
		t.Errorf("%d series, %v DaemonSets omitted", series, omitted)
	}
}

func TestNodesOfADaemonSetAreToldApartWhateverTheCountersSay(t *testing.T) {
	ds := agent("demo", "agent")
	ds.Status = appsv1.DaemonSetStatus{CurrentNumberScheduled: 9, NumberReady: 9}
	got := newDaemonSetReport(ds, placement.Survey{Total: 10, Eligible: 4, Blocked: 1})
	want := daemonSetReport{namespace: "demo", name: "agent", running: 4, excluded: 5, blocked: 1}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(daemonSetReport{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ds.Status = appsv1.DaemonSetStatus{CurrentNumberScheduled: 3, NumberReady: 1}
	got = newDaemonSetReport(ds, placement.Survey{Total: 10, Eligible: 4, Blocked: 1})
	want = daemonSetReport{namespace: "demo", name: "agent", running: 1, notReady: 2, missing: 1, excluded: 5, blocked: 1}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(daemonSetReport{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAStatusNamesThreeConflictsAtMost(t *testing.T) {
	policies := []v1alpha1.PlacementPolicy{literalPolicy("a", map[string]v1alpha1.NodeLabelValue{"k1": "a", "k2": "a", "k3": "a", "k4": "a", "k5": "a"})}
	for i := range 5 {
		policies = append(policies, literalPolicy(fmt.Sprintf("b%d", i+1), map[string]v1alpha1.NodeLabelValue{fmt.Sprintf("k%d", i+1): "b"}))
	}
	var s state
	s.update(t.Context(), snapshotOf(t, nil, policies...), nil)
	const where = ", for every DaemonSet of namespace demo; "
	want := `policy "a" requires k1=a, policy "b1" requires k1=b` + where +
		`policy "a" requires k2=a, policy "b2" requires k2=b` + where +
		`policy "a" requires k3=a, policy "b3" requires k3=b` + where + "and 2 more conflicts"
	if diff := cmp.Diff(want, s.report().policies["a"].conflict); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
