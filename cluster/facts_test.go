package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
)

func newNode(name string, labels map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// newPolicy requires pool=blue of DaemonSets in namespaces with the team's label.
func newPolicy(name, team string) *v1alpha1.PlacementPolicy {
	policy := &v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policy.Spec.NodeSelector = map[string]v1alpha1.NodeLabelValue{"pool": "blue"}
	policy.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": team}}
	return policy
}

// invalid is a selector that the API server stores, though no one can match it.
func invalid() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Nearby"}}}
}

func matching(snapshot *cluster.Snapshot, selector map[string]string) int {
	n, _ := snapshot.Nodes().Count(&corev1.PodSpec{NodeSelector: selector})
	return n
}

func policiesFor(snapshot *cluster.Snapshot, namespace string) string {
	policies, known := snapshot.PoliciesFor(namespace)
	return fmt.Sprintf("known=%t policies=%d", known, policies.Len())
}

func TestFactsFollowTheCluster(t *testing.T) {
	c := admin(t)
	before := newNode("follow-1", map[string]string{"follow": "yes"})
	create(t, c, before)
	facts := startReplica(t).facts
	if got := matching(facts.Snapshot(), map[string]string{"follow": "yes"}); got != 1 {
		t.Errorf("ready, and %d of 1 nodes known", got)
	}

	later := newNode("follow-2", nil)
	create(t, c, later)
	change(t, c, later, func() { later.Labels = map[string]string{"follow": "yes"} })
	eventually(t, "a new node with a new label counts", func() bool {
		return matching(facts.Snapshot(), map[string]string{"follow": "yes"}) == 2
	})
	change(t, c, before, func() { delete(before.Labels, "follow") })
	eventually(t, "a node that lost its label does not count", func() bool {
		return matching(facts.Snapshot(), map[string]string{"follow": "yes"}) == 1
	})
	if err := c.Delete(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a node that is gone does not count", func() bool {
		return matching(facts.Snapshot(), map[string]string{"follow": "yes"}) == 0
	})

	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "follow"}}
	create(t, c, namespace)
	policy := newPolicy("follow", "follow")
	create(t, c, policy)
	eventually(t, "the namespace is known, the policy is not for it", func() bool {
		return policiesFor(facts.Snapshot(), "follow") == "known=true policies=0"
	})
	change(t, c, namespace, func() { namespace.Labels = map[string]string{"team": "follow"} })
	eventually(t, "the label brings the policy to the namespace", func() bool {
		return policiesFor(facts.Snapshot(), "follow") == "known=true policies=1"
	})
	if err := c.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a policy that is gone is not in force", func() bool {
		return policiesFor(facts.Snapshot(), "follow") == "known=true policies=0"
	})
}

func TestANodesHeartbeatMakesNoNewSnapshot(t *testing.T) {
	c := admin(t)
	node := newNode("heartbeat", nil)
	create(t, c, node)
	facts := startReplica(t).facts

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
	change(t, c, node, func() { node.Labels = map[string]string{"heartbeat": "yes"} })
	eventually(t, "a label after them does", func() bool {
		return matching(facts.Snapshot(), map[string]string{"heartbeat": "yes"}) == 1
	})
}

func TestAnInvalidEditLeavesTheLastGoodPolicyInForce(t *testing.T) {
	c := admin(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "edit", Labels: map[string]string{"team": "edit"}}}
	create(t, c, namespace)
	policy := newPolicy("edit", "edit")
	create(t, c, policy)
	facts := startReplica(t).facts
	if got, want := policiesFor(facts.Snapshot(), "edit"), "known=true policies=1"; got != want {
		t.Fatalf("before the edit: %s, want %s", got, want)
	}

	before := facts.Snapshot()
	change(t, c, policy, func() { policy.Spec.MatchConstraints.NamespaceSelector = invalid() })
	eventually(t, "the edit is seen", func() bool { return facts.Snapshot() != before })
	if got, want := policiesFor(facts.Snapshot(), "edit"), "known=true policies=1"; got != want {
		t.Errorf("after an invalid edit: %s, want %s", got, want)
	}

	if err := c.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	again := newPolicy("edit", "edit")
	again.Spec.MatchConstraints.NamespaceSelector = invalid()
	create(t, c, again)
	eventually(t, "a new policy of that name has no former version", func() bool {
		return policiesFor(facts.Snapshot(), "edit") == "known=true policies=0"
	})
}

func TestANamespaceYoungerThanTheSnapshotIsReadLive(t *testing.T) {
	c := admin(t)
	facts := startReplica(t).facts
	create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "young", Labels: map[string]string{"team": "young"}}})
	got, err := facts.Namespace(t.Context(), "young")
	if err != nil || got.Name != "young" || got.Labels["team"] != "young" {
		t.Errorf("read live: %v, %v", got, err)
	}
	_, err = facts.Namespace(context.Background(), "nowhere")
	if err == nil || !strings.Contains(err.Error(), `namespaces "nowhere" not found`) {
		t.Errorf("a namespace that does not exist: %v", err)
	}
}
