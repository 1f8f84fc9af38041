package live_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/e2e/apiserver"
)

// withoutSchema lets the API server store any policy, as long as the function runs.
func withoutSchema(t *testing.T, c client.Client, store func()) {
	t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	crd.SetName("placementpolicies.berth.dev")
	setSpec := func(spec any) {
		apiserver.Change(t, c, crd, func() {
			versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
			if err := unstructured.SetNestedField(versions[0].(map[string]any), spec, "schema", "openAPIV3Schema", "properties", "spec"); err != nil {
				t.Fatal(err)
			}
			_ = unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions")
		})
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(crd), crd); err != nil {
		t.Fatal(err)
	}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	strict, _, _ := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "spec")
	taken := func() bool {
		probe := &v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}
		return !apierrors.IsInvalid(c.Create(t.Context(), probe, client.DryRunAll))
	}
	setSpec(map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true})
	apiserver.Eventually(t, "the API server has no schema", taken)
	store()
	setSpec(strict)
	apiserver.Eventually(t, "the API server has the schema again", func() bool { return !taken() })
}

// Earlier builds had no such rules: what they stored is there after an upgrade.
func TestAStoredPolicyThatTheSchemaWouldRefuseNowFailsByItsFailurePolicyAndGetsAStatus(t *testing.T) {
	c := admin(t)
	apiserver.Create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "stored", Labels: map[string]string{"team": "stored"}}})
	policy := newPolicy("stored", "stored")
	policy.Spec.Tolerations = []v1alpha1.Toleration{{Key: "a", Operator: "exists", Value: "x y"}}
	policy.Spec.NodeRequirements = []v1alpha1.NodeRequirement{{Key: "a", Operator: "In", Values: []string{"team a"}}}
	withoutSchema(t, c, func() { apiserver.Create(t, c, policy) })

	facts := startFacts(t)
	if got, want := created(t, facts, "stored"), `denied: metadata: Forbidden: policy "stored" is invalid`; !strings.HasPrefix(got, want) {
		t.Errorf("a DaemonSet in its scope: %s", got)
	}
	meta.SetStatusCondition(&policy.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Invalid"})
	if err := c.Status().Update(t.Context(), policy); err != nil {
		t.Errorf("its status cannot be written: %v", err)
	}
	apiserver.Change(t, c, policy, func() { policy.Labels = map[string]string{"a": "b"} })
	apiserver.Change(t, c, policy, func() { policy.Spec.FailurePolicy = v1alpha1.Ignore })
	apiserver.Eventually(t, "it is ignored when its failurePolicy says so", func() bool {
		return strings.HasPrefix(created(t, facts, "stored"), "patched: false")
	})
	apiserver.Change(t, c, policy, func() { policy.Spec.Tolerations, policy.Spec.NodeRequirements = nil, nil })
	apiserver.Eventually(t, "it is in force when it is mended", func() bool {
		return strings.HasPrefix(created(t, facts, "stored"), "patched: true")
	})
}
