package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// provenance is what tells berth's values from the user's.
type provenance struct {
	NodeSelector map[string]string
	Injected     string
}

func expectProvenance(t *testing.T, when, namespace string, want provenance) {
	t.Helper()
	ds := get(t, namespace, "agent")
	claims, _, _ := strings.Cut(ds.Annotations[injectedAnnotation], `,"past":`) // the digests of former templates
	got := provenance{ds.Spec.Template.Spec.NodeSelector, claims}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestAChangedPolicyReplacesItsOwnValueWithTheNextTemplate(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "pool", anyNodes+"nodeSelector: {e2e-pool: a, e2e-disk: ssd}")
	create(t, namespace, agent("nodeSelector: {mine: x}"))
	old := provenance{
		map[string]string{"mine": "x", "e2e-pool": "a", "e2e-disk": "ssd"},
		`{"version":2,"policies":{"pool":{"nodeSelector":{"e2e-disk":"ssd","e2e-pool":"a"}}}}`,
	}
	expectProvenance(t, "after the first policy", namespace, old)

	applyPolicy(t, namespace, "pool", anyNodes+"nodeSelector: {e2e-pool: b}")
	kubectl(t, "", "annotate", "-n", namespace, "daemonset/agent", "note=1")
	expectProvenance(t, "after an annotation under the second policy", namespace, old)
	if ds := get(t, namespace, "agent"); ds.Generation != 1 {
		t.Errorf("the annotation took the DaemonSet to generation %d", ds.Generation)
	}
	setImage(t, namespace, "agent:2")
	expectProvenance(t, "after a new image under the second policy", namespace, provenance{
		map[string]string{"mine": "x", "e2e-pool": "b"},
		`{"version":2,"policies":{"pool":{"nodeSelector":{"e2e-pool":"b"}}}`,
	})
}

func TestARemovedPolicyLeavesNothingBehindAfterTheNextTemplate(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "all", anyNodes+`
nodeSelector: {e2e-pool: a}
nodeRequirements: [{key: e2e-virtual, operator: NotIn, values: ["yes"]}]
tolerations: [{key: e2e-gpu, operator: Exists}]
`)
	own := agent("nodeSelector: {mine: x}\ntolerations: [{key: mine, operator: Exists}]")
	create(t, namespace, own)
	with := get(t, namespace, "agent").Spec.Template.Spec
	if len(with.NodeSelector) != 2 || with.Affinity == nil || len(with.Tolerations) != 2 {
		t.Fatalf("the policy did not inject everything: %+v", with)
	}

	deletePolicy(t, "all")
	kubectl(t, "", "annotate", "-n", namespace, "daemonset/agent", "note=1")
	if diff := cmp.Diff(with, get(t, namespace, "agent").Spec.Template.Spec); diff != "" {
		t.Errorf("an annotation changed the template (-before +after):\n%s", diff)
	}
	setImage(t, namespace, "agent:2")
	got := get(t, namespace, "agent").Spec.Template.Spec
	want := parse(t, own).Spec.Template.Spec
	if diff := cmp.Diff(want.NodeSelector, got.NodeSelector); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Tolerations, got.Tolerations); diff != "" {
		t.Errorf("tolerations (-want +got):\n%s", diff)
	}
	if got.Affinity != nil {
		t.Errorf("affinity: %v", got.Affinity)
	}
}

func TestAValueThatTheUserHasChangedIsTheUsers(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "pool", anyNodes+poolA+"conflictPolicy: PreferExisting")
	create(t, namespace, agent(""))
	kubectl(t, "", "patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"e2e-pool":"mine"}}}}}`)
	mine := map[string]string{"e2e-pool": "mine"}
	expectNodeSelector(t, get(t, namespace, "agent"), mine)

	applyPolicy(t, namespace, "pool", anyNodes+"nodeSelector: {e2e-pool: b}\nconflictPolicy: PreferExisting")
	setImage(t, namespace, "agent:2")
	expectNodeSelector(t, get(t, namespace, "agent"), mine)
	deletePolicy(t, "pool")
	setImage(t, namespace, "agent:3")
	expectNodeSelector(t, get(t, namespace, "agent"), mine)
}

func TestRolloutUndoAfterAChangeOfThePolicyIsNotDenied(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-pool", "a", "n-1", "n-2")
	labelNodes(t, "e2e-pool", "b", "n-3")
	applyPolicy(t, namespace, "pool", anyNodes+poolA+"conflictPolicy: Reject")
	create(t, namespace, agent(""))
	expectPods(t, namespace, "agent", "n-1", "n-2")
	applyPolicy(t, namespace, "pool", anyNodes+"nodeSelector: {e2e-pool: b}\nconflictPolicy: Reject")
	setImage(t, namespace, "agent:2")
	expectPods(t, namespace, "agent", "n-3")

	undo := func(image string, want map[string]string) {
		t.Helper()
		kubectl(t, "", "rollout", "undo", "-n", namespace, "daemonset/agent")
		ds := get(t, namespace, "agent")
		expectNodeSelector(t, ds, want)
		if got := ds.Spec.Template.Spec.Containers[0].Image; got != image {
			t.Errorf("undo brought back image %s, not %s", got, image)
		}
	}
	// The image of the first revision, on the nodes that the policy asks for now.
	undo("agent:1", map[string]string{"e2e-pool": "b"})
	expectPods(t, namespace, "agent", "n-3")
	undo("agent:2", map[string]string{"e2e-pool": "b"})
	deletePolicy(t, "pool")
	undo("agent:1", nil)
	expectPods(t, namespace, "agent", allNodes...)
}
