package live_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/e2e/apiserver"
	"berth.dev/berth/placement"
)

func newNode(name string, labels map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func newDaemonSet(namespace string) *appsv1.DaemonSet {
	labels := map[string]string{"app": "example"}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "example", Namespace: namespace}}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	ds.Spec.Template.Labels = labels
	return ds
}

// newPolicy requires pool=blue of DaemonSets in namespaces with the team's label.
func newPolicy(name, team string) *v1alpha1.PlacementPolicy {
	policy := &v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policy.Spec.NodeSelector = map[string]v1alpha1.NodeLabelValue{"pool": "blue"}
	policy.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": team}}
	return policy
}

func matching(snapshot *cluster.Snapshot, selector map[string]string) int {
	survey := snapshot.Nodes().Survey(nil, selecting(selector))
	return survey.Eligible + survey.Blocked
}

func selecting(selector map[string]string) *placement.Template {
	return &placement.Template{NodeSelector: selector}
}

func policiesFor(snapshot *cluster.Snapshot, namespace string) string {
	policies, known := snapshot.PoliciesFor(namespace)
	return fmt.Sprintf("known=%t policies=%d", known, policies.Len())
}

func TestFactsFollowTheCluster(t *testing.T) {
	c := admin(t)
	before := newNode("follow-1", map[string]string{"follow": "yes"})
	apiserver.Create(t, c, before)
	facts := startFacts(t)
	if got := matching(facts.Snapshot(), map[string]string{"follow": "yes"}); got != 1 {
		t.Errorf("ready, and %d of 1 nodes known", got)
	}

	later := newNode("follow-2", nil)
	apiserver.Create(t, c, later)
	apiserver.Change(t, c, later, func() { later.Labels = map[string]string{"follow": "yes"} })
	apiserver.Eventually(t, "a new node with a new label counts", func() bool {
		return matching(facts.Snapshot(), map[string]string{"follow": "yes"}) == 2
	})
	apiserver.Change(t, c, before, func() { delete(before.Labels, "follow") })
	apiserver.Eventually(t, "a node that lost its label does not count", func() bool {
		return matching(facts.Snapshot(), map[string]string{"follow": "yes"}) == 1
	})
	apiserver.Change(t, c, later, func() {
		later.Spec.Taints = []corev1.Taint{{Key: "follow", Effect: corev1.TaintEffectNoSchedule}}
	})
	apiserver.Eventually(t, "a node with a new taint is blocked", func() bool {
		return facts.Snapshot().Nodes().Survey(nil, selecting(map[string]string{"follow": "yes"})).Taint.Taint == "follow:NoSchedule"
	})
	if err := c.Delete(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "a node that is gone does not count", func() bool {
		return matching(facts.Snapshot(), map[string]string{"follow": "yes"}) == 0
	})

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "follow"}}
	apiserver.Create(t, c, namespace)
	policy := newPolicy("follow", "follow")
	apiserver.Create(t, c, policy)
	apiserver.Eventually(t, "the namespace is known, the policy is not for it", func() bool {
		return policiesFor(facts.Snapshot(), "follow") == "known=true policies=0"
	})
	apiserver.Change(t, c, namespace, func() { namespace.Labels = map[string]string{"team": "follow"} })
	apiserver.Eventually(t, "the label brings the policy to the namespace", func() bool {
		return policiesFor(facts.Snapshot(), "follow") == "known=true policies=1"
	})
	if err := c.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "a policy that is gone is not in force", func() bool {
		return policiesFor(facts.Snapshot(), "follow") == "known=true policies=0"
	})
}

func TestANodesHeartbeatMakesNoNewSnapshot(t *testing.T) {
	c := admin(t)
	node := newNode("heartbeat", nil)
	apiserver.Create(t, c, node)
	facts := startFacts(t)

	before := facts.Snapshot()
	for i := range 20 {
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Message: fmt.Sprint(i)}}
		if err := c.Status().Update(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	if facts.Snapshot() != before {
		t.Error("20 heartbeats changed the snapshot")
	}
	apiserver.Change(t, c, node, func() { node.Labels = map[string]string{"heartbeat": "yes"} })
	apiserver.Eventually(t, "a label after them does", func() bool {
		return matching(facts.Snapshot(), map[string]string{"heartbeat": "yes"}) == 1
	})
}

func TestAChangedNamespaceAnnotationIsInTheNextSnapshot(t *testing.T) {
	c := admin(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "annotated", Annotations: map[string]string{
		corev1.LastAppliedConfigAnnotation:  "{}",
		v1alpha1.DefaultNamespaceAnnotation: "pool=blue",
	}}}
	apiserver.Create(t, c, namespace)
	policy := &v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: "annotated"}}
	policy.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{
		MatchLabels: map[string]string{corev1.LabelMetadataName: "annotated"},
	}
	policy.Spec.NodeSelectorFrom = []v1alpha1.NodeSelectorSource{{Type: v1alpha1.NodeSelectorFromNamespaceAnnotation}}
	apiserver.Create(t, c, policy)
	facts := startFacts(t)

	want := placement.Namespace{
		Name:        "annotated",
		Labels:      map[string]string{corev1.LabelMetadataName: "annotated"},
		Annotations: map[string]string{v1alpha1.DefaultNamespaceAnnotation: "pool=blue"},
	}
	known, _ := facts.Snapshot().Namespace("annotated")
	if diff := cmp.Diff(want, known); diff != "" {
		t.Errorf("in the snapshot (-want +got):\n%s", diff)
	}
	live, err := facts.Namespace(t.Context(), "annotated")
	if diff := cmp.Diff(want, live); diff != "" || err != nil {
		t.Errorf("read live: %v (-want +got):\n%s", err, diff)
	}
	required := func() string {
		policies, _ := facts.Snapshot().PoliciesFor("annotated")
		q := placement.Question{New: placement.ObjectOf(newDaemonSet("annotated"))}
		outcome := policies.Select(q.New, nil, nil).Decide(&q).Outcome
		return fmt.Sprintf("policies=%d %s", policies.Len(), outcome.Patch.AppendJSON(nil))
	}
	if got := required(); !strings.Contains(got, `{"pool":"blue"}`) {
		t.Errorf("the annotation requires %s", got)
	}
	apiserver.Change(t, c, namespace, func() { namespace.Annotations[v1alpha1.DefaultNamespaceAnnotation] = "pool=green" })
	apiserver.Eventually(t, "another value counts", func() bool { return strings.Contains(required(), `{"pool":"green"}`) })
	apiserver.Change(t, c, namespace, func() { namespace.Annotations[v1alpha1.DefaultNamespaceAnnotation] = "" })
	apiserver.Eventually(t, "an empty value opts out", func() bool { return strings.HasPrefix(required(), "policies=0") })
}

func TestANamespaceYoungerThanTheSnapshotIsReadLive(t *testing.T) {
	c := admin(t)
	facts := startFacts(t)
	apiserver.Create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "young", Labels: map[string]string{"team": "young"}}})
	got, err := facts.Namespace(t.Context(), "young")
	if err != nil || got.Name != "young" || got.Labels["team"] != "young" {
		t.Errorf("read live: %v, %v", got, err)
	}
	_, err = facts.Namespace(context.Background(), "nowhere")
	if err == nil || !strings.Contains(err.Error(), `namespaces "nowhere" not found`) {
		t.Errorf("a namespace that does not exist: %v", err)
	}
}
