package e2e_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAConflictPolicySaysWhoseValueCounts(t *testing.T) {
	namespace := newNamespace(t, nil)
	own := agent("nodeSelector: {e2e-pool: mine}")
	applyPolicy(t, namespace, "pool", anyNodes+poolA+"conflictPolicy: Reject")
	want := []string{`spec.template.spec.nodeSelector[e2e-pool]: Invalid value: "mine": policy "pool" requires "a": remove the key or set it to "a"`}
	if diff := cmp.Diff(want, createRejected(t, namespace, own)); diff != "" {
		t.Errorf("Reject: causes (-want +got):\n%s", diff)
	}
	for conflictPolicy, value := range map[string]string{"PreferExisting": "mine", "PreferPolicy": "a"} {
		applyPolicy(t, namespace, "pool", anyNodes+poolA+"conflictPolicy: "+conflictPolicy)
		if diff := cmp.Diff(map[string]string{"e2e-pool": value}, placed(t, namespace, own)); diff != "" {
			t.Errorf("%s: nodeSelector (-want +got):\n%s", conflictPolicy, diff)
		}
	}
}

// rollout is what becomes of a DaemonSet's template.
type rollout struct {
	Generation int64
	Revisions  int // ControllerRevisions: one for each template that the controller has rolled out
	Placed     bool
}

// expectRollout waits until the controller has rolled out everything, and fails unless it is this.
func expectRollout(t *testing.T, when, namespace string, want rollout) {
	t.Helper()
	nodes := allNodes
	if want.Placed {
		nodes = []string{"n-1", "n-2"}
	}
	expectPods(t, namespace, "agent", nodes...)
	waitFor(t, "the controller to roll out all pods", func() (bool, string) {
		status := get(t, namespace, "agent").Status
		return int(status.UpdatedNumberScheduled) == len(nodes), fmt.Sprintf("%+v", status)
	})
	ds := get(t, namespace, "agent")
	revisions, err := cp.Client.AppsV1().ControllerRevisions(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=agent"})
	if err != nil {
		t.Fatal(err)
	}
	got := rollout{ds.Generation, len(revisions.Items), ds.Spec.Template.Spec.NodeSelector["e2e-pool"] == "a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestAnUpdatePolicySaysWhichUpdatesRollADaemonSetIntoLine(t *testing.T) {
	tests := []struct {
		updatePolicy      string
		annotated, rolled rollout
	}{
		{"OnTemplateChange", rollout{1, 1, false}, rollout{2, 2, true}},
		{"Always", rollout{2, 2, true}, rollout{3, 3, true}},
		{"CreateOnly", rollout{1, 1, false}, rollout{2, 2, false}},
	}
	labelNodes(t, "e2e-pool", "a", "n-1", "n-2")
	for _, test := range tests {
		t.Run(test.updatePolicy, func(t *testing.T) {
			namespace := newNamespace(t, nil)
			create(t, namespace, agent(""))
			applyPolicy(t, namespace, "pool", anyNodes+poolA+"updatePolicy: "+test.updatePolicy)
			expectRollout(t, "after the policy, and before any update", namespace, rollout{1, 1, false})

			kubectl(t, "", "annotate", "-n", namespace, "daemonset/agent", "note=1")
			expectRollout(t, "after an annotation", namespace, test.annotated)
			for n := range 3 {
				kubectl(t, "", "annotate", "-n", namespace, "daemonset/agent", "--overwrite", fmt.Sprintf("note=again-%d", n))
			}
			expectRollout(t, "after three more", namespace, test.annotated)
			setImage(t, namespace, "agent:2")
			expectRollout(t, "after a new image", namespace, test.rolled)

			kubectl(t, "", "delete", "-n", namespace, "daemonset/agent")
			create(t, namespace, agent(""))
			expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "a"})
		})
	}
}

func TestADryRunOfAnUpdateShowsWhatWouldBeStoredAndStoresNothing(t *testing.T) {
	namespace := newNamespace(t, nil)
	create(t, namespace, agent(""))
	applyPolicy(t, namespace, "pool", anyNodes+poolA+"tolerations: [{key: e2e-gpu, operator: Exists}]")
	before := get(t, namespace, "agent")
	shown := parse(t, kubectl(t, "", "set", "image", "-n", namespace, "daemonset/agent", "agent=agent:2", "--dry-run=server", "-o", "yaml"))
	expectNodeSelector(t, shown, map[string]string{"e2e-pool": "a"})
	if tolerations := shown.Spec.Template.Spec.Tolerations; len(tolerations) != 1 || tolerations[0].Key != "e2e-gpu" {
		t.Errorf("shown with tolerations %v", tolerations)
	}
	after := get(t, namespace, "agent")
	if diff := cmp.Diff(before.Spec, after.Spec); diff != "" || before.Generation != after.Generation {
		t.Errorf("a dry run stored generation %d (-before +after):\n%s", after.Generation, diff)
	}
}
