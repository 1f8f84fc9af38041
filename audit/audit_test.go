package audit_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/e2e/apiserver"
)

func newNode(name string, labels map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func newNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}}
}

func newDaemonSet(namespace, name string) *appsv1.DaemonSet {
	labels := map[string]string{"app": name}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	ds.Spec.Template.Labels = labels
	ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "agent", Image: "agent:1"}}
	return ds
}

// series returns what a replica says of the nodes of a namespace's DaemonSets.
func series(t *testing.T, r *replica, namespace string) map[string]float64 {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, pair := range metric.GetLabel() {
				labels[pair.GetName()] = pair.GetValue()
			}
			if labels["namespace"] == namespace {
				values[labels["daemonset"]+" "+labels["state"]] = metric.GetGauge().GetValue()
			}
		}
	}
	return values
}

// eventsOf returns the Events in a namespace.
func eventsOf(t *testing.T, c client.Client, namespace string) []string {
	t.Helper()
	var list eventsv1.EventList
	if err := c.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range list.Items {
		texts = append(texts, fmt.Sprintf("%s %s %s/%s %s/%s: %s", e.Type, e.Reason, e.Regarding.Kind, e.Regarding.Name, e.Related.Kind, e.Related.Name, e.Note))
	}
	slices.Sort(texts)
	return texts
}

func TestTheAuditSaysWhatPoliciesFindInDaemonSetsThatExist(t *testing.T) {
	c := admin(t)
	for _, node := range []*corev1.Node{
		newNode("audit-blue", map[string]string{"pool": "blue"}),
		newNode("audit-tainted", map[string]string{"pool": "blue"}),
		newNode("audit-red", map[string]string{"pool": "red"}),
		newNode("audit-none", nil),
	} {
		apiserver.Create(t, c, node)
		apiserver.Change(t, c, node, func() {
			node.Spec.Taints = nil // The API server makes every node not-ready.
			if node.Name == "audit-tainted" {
				node.Spec.Taints = []corev1.Taint{{Key: "gpu", Value: "on", Effect: corev1.TaintEffectNoSchedule}}
			}
		})
	}
	apiserver.Create(t, c, newNamespace("audit"))
	free := newDaemonSet("audit", "free")
	apiserver.Create(t, c, free)
	red := newDaemonSet("audit", "red")
	red.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "red"}
	apiserver.Create(t, c, red)
	critical := newDaemonSet("audit", "critical")
	critical.Spec.Template.Spec.PriorityClassName = "system-node-critical"
	apiserver.Create(t, c, critical)
	system := newDaemonSet("kube-system", "audit-system")
	apiserver.Create(t, c, system)
	policy := newPolicy("audit", "audit")
	apiserver.Create(t, c, policy)
	trial := newPolicy("audit-trial", "audit")
	trial.Spec.Mode = v1alpha1.ModeAudit
	trial.Spec.NodeSelector = map[string]v1alpha1.NodeLabelValue{"disk": "ssd"}
	trial.Spec.NodeChecks = &v1alpha1.NodeChecks{ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Audit}}
	apiserver.Create(t, c, trial)
	everywhere := newPolicy("audit-everywhere", "audit")
	everywhere.Spec.MatchConstraints.NamespaceSelector = nil
	apiserver.Create(t, c, everywhere)
	r := startReplica(t)

	status := func(daemonSets v1alpha1.DaemonSetCounts, nodes int32) v1alpha1.PlacementPolicyStatus {
		return v1alpha1.PlacementPolicyStatus{
			ObservedGeneration: 1, Conditions: []metav1.Condition{enforced, noConflict},
			DaemonSets: &daemonSets, Nodes: &v1alpha1.NodeCounts{Matched: nodes, Total: 4},
		}
	}
	t.Run("status", func(t *testing.T) {
		want := status(v1alpha1.DaemonSetCounts{Matched: 2, WouldChange: 1}, 3)
		eventuallyStatus(t, c, policy, want)
		eventuallyStatus(t, c, everywhere, want)
		want = status(v1alpha1.DaemonSetCounts{Matched: 2, WouldChange: 1}, 3)
		want.Conditions = slices.Clone(want.Conditions)
		want.Conditions[0].Message = "berth reports what this policy would do and changes nothing"
		eventuallyStatus(t, c, trial, want)
	})
	t.Run("metrics", func(t *testing.T) {
		free.Status = appsv1.DaemonSetStatus{DesiredNumberScheduled: 3, CurrentNumberScheduled: 2, NumberReady: 1}
		if err := c.Status().Update(t.Context(), free); err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{
			"free running": 1, "free not_ready": 1, "free missing": 1, "free blocked_by_taint": 1, "free excluded": 0,
			"red running": 0, "red not_ready": 0, "red missing": 1, "red blocked_by_taint": 0, "red excluded": 3,
		}
		var got map[string]float64
		apiserver.Eventually(t, "the metrics", func() bool {
			got = series(t, r, "audit")
			return maps.Equal(want, got)
		})
	})
	t.Run("events", func(t *testing.T) {
		want := []string{
			`Warning PlacementViolation DaemonSet/free PlacementPolicy/audit: spec.template.spec.nodeSelector[pool]: policy "audit" requires pool=blue` +
				", and the DaemonSet was written before that was in force: berth adds it when the pod template changes next; to have it now: kubectl rollout restart daemonset -n audit free (and 3 more)",
			`Warning PlacementViolation DaemonSet/red PlacementPolicy/audit: spec.template.spec.nodeSelector[pool]: Invalid value: "red": ` +
				`policy "audit" requires "blue": remove the key or set it to "blue"`,
		}
		apiserver.Eventually(t, "two Events", func() bool { return len(eventsOf(t, c, "audit")) >= len(want) })
		if diff := cmp.Diff(want, eventsOf(t, c, "audit")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("what is mended", func(t *testing.T) {
		for _, ds := range []*appsv1.DaemonSet{free, red} {
			apiserver.Change(t, c, ds, func() { ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "blue"} })
		}
		eventuallyStatus(t, c, policy, status(v1alpha1.DaemonSetCounts{Matched: 2, Compliant: 2}, 1))
	})
	t.Run("what is deleted", func(t *testing.T) {
		if err := c.Delete(t.Context(), red); err != nil {
			t.Fatal(err)
		}
		eventuallyStatus(t, c, policy, status(v1alpha1.DaemonSetCounts{Matched: 1, Compliant: 1}, 1))
		for name := range series(t, r, "audit") {
			if strings.HasPrefix(name, "red ") {
				t.Errorf("a DaemonSet that is gone has the series %q", name)
			}
		}
		if got := eventsOf(t, c, "audit"); len(got) != 2 {
			t.Errorf("Events: %q", got)
		}
		if wrote := r.writes.events.Load(); wrote != 2 {
			t.Errorf("%d writes of Events", wrote)
		}
	})
}

func TestANewLeaderTellsOfAProblemOnceMore(t *testing.T) {
	c := admin(t)
	apiserver.Create(t, c, newNamespace("leader"))
	apiserver.Create(t, c, newDaemonSet("leader", "agent"))
	apiserver.Create(t, c, newPolicy("leader", "leader"))
	for told := range 2 {
		r := startReplica(t)
		apiserver.Eventually(t, "an Event of its own", func() bool { return len(eventsOf(t, c, "leader")) == told+1 })
		// Others in its place decide on the DaemonSet again.
		node := newNode("leader", nil)
		apiserver.Create(t, c, node)
		apiserver.Eventually(t, "the node counts", func() bool {
			policy := newPolicy("leader", "leader")
			statusOf(t, c, policy)
			return policy.Status.Nodes != nil && policy.Status.Nodes.Total == 1
		})
		r.stop()
		if wrote := r.writes.events.Load(); wrote != 1 {
			t.Errorf("replica %d wrote %d Events", told, wrote)
		}
		if err := c.Delete(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPoliciesThatContradictEachOtherBothSaySo(t *testing.T) {
	c := admin(t)
	apiserver.Create(t, c, newNamespace("conflict"))
	blue, green := newPolicy("conflict-blue", "conflict"), newPolicy("conflict-green", "conflict")
	green.Spec.NodeSelector["pool"] = "green"
	apiserver.Create(t, c, green)
	apiserver.Create(t, c, blue)
	startReplica(t)

	status := func(message string) v1alpha1.PlacementPolicyStatus {
		conflicting := metav1.Condition{Type: v1alpha1.ConditionConflicting, Status: metav1.ConditionTrue, Reason: "DifferentValues", Message: message}
		if message == "" {
			conflicting = noConflict
		}
		return v1alpha1.PlacementPolicyStatus{
			ObservedGeneration: 1, Conditions: []metav1.Condition{enforced, conflicting},
			DaemonSets: &v1alpha1.DaemonSetCounts{}, Nodes: &v1alpha1.NodeCounts{},
		}
	}
	eventuallyStatus(t, c, blue, status(`policy "conflict-blue" requires pool=blue, policy "conflict-green" requires pool=green, for every DaemonSet of namespace conflict`))
	eventuallyStatus(t, c, green, status(`policy "conflict-green" requires pool=green, policy "conflict-blue" requires pool=blue, for every DaemonSet of namespace conflict`))
	if err := c.Delete(t.Context(), green); err != nil {
		t.Fatal(err)
	}
	eventuallyStatus(t, c, blue, status(""))
}

func TestAQuietClusterSeesNoWriteAndARestlessOneFew(t *testing.T) {
	c := admin(t)
	apiserver.Create(t, c, newNamespace("quiet"))
	for i := range 3 {
		policy := newPolicy(fmt.Sprintf("quiet-%d", i), "quiet")
		apiserver.Create(t, c, policy)
		apiserver.Create(t, c, newDaemonSet("quiet", policy.Name))
	}
	r := startReplica(t)
	last := newPolicy("quiet-2", "quiet")
	apiserver.Eventually(t, "the audit is in the status", func() bool {
		statusOf(t, c, last)
		return last.Status.DaemonSets != nil && last.Status.DaemonSets.Matched == 3
	})
	apiserver.Eventually(t, "three Events are written", func() bool { return r.writes.events.Load() == 3 })

	before := r.writes.String()
	time.Sleep(12 * time.Second)
	if got := r.writes.String(); got != before {
		t.Errorf("in 12 quiet seconds the writes went from %s to %s", before, got)
	}

	calm := r.writes.status.Load()
	began := time.Now()
	for i := range 100 {
		apiserver.Create(t, c, newNode(fmt.Sprintf("restless-%d", i), nil))
		apiserver.Create(t, c, newDaemonSet("kube-system", fmt.Sprintf("restless-%d", i)))
		time.Sleep(50 * time.Millisecond)
	}
	apiserver.Eventually(t, "the last node is counted", func() bool {
		statusOf(t, c, last)
		return last.Status.Nodes.Total == 100
	})
	if got := r.writes.status.Load() - calm; got > 3*7 {
		t.Errorf("%d status writes for 3 policies in %s of 100 new nodes", got, time.Since(began))
	} else {
		t.Logf("%d status writes for 3 policies in %s of 100 new nodes", got, time.Since(began))
	}
}

func TestMatchConditionsAreAskedOnceForEachVersionOfADaemonSet(t *testing.T) {
	c := admin(t)
	apiserver.Create(t, c, newNamespace("conditional"))
	policy := newPolicy("conditional", "conditional")
	policy.Spec.MatchConditions = []v1alpha1.MatchCondition{{
		Name:       "agents",
		Expression: `object.spec.template.spec.containers.all(c, c.image.startsWith("agent:")) && namespaceObject.metadata.name == "conditional"`,
	}}
	apiserver.Create(t, c, policy)
	failing := newPolicy("conditional-failing", "conditional")
	failing.Spec.MatchConditions = []v1alpha1.MatchCondition{{Name: "typo", Expression: "object.spec.nowhere == 1"}}
	apiserver.Create(t, c, failing)
	apiserver.Create(t, c, newDaemonSet("conditional", "agent"))
	other := newDaemonSet("conditional", "other")
	other.Spec.Template.Spec.Containers[0].Image = "other:1"
	apiserver.Create(t, c, other)
	startReplica(t)

	status := func(matched int32) v1alpha1.PlacementPolicyStatus {
		return v1alpha1.PlacementPolicyStatus{
			ObservedGeneration: 1, Conditions: []metav1.Condition{enforced, noConflict},
			DaemonSets: &v1alpha1.DaemonSetCounts{Matched: matched, WouldChange: matched}, Nodes: &v1alpha1.NodeCounts{},
		}
	}
	eventuallyStatus(t, c, policy, status(1))
	eventuallyStatus(t, c, failing, status(0))
	apiserver.Change(t, c, other, func() { other.Spec.Template.Spec.Containers[0].Image = "agent:2" })
	eventuallyStatus(t, c, policy, status(2))
}
