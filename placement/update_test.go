package placement_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// admit sends an object through policies as the webhooks do, and returns it as
// it is stored. The test fails when it is denied.
func admit(t *testing.T, policies placement.Policies, in write) *appsv1.DaemonSet {
	t.Helper()
	decision := decide(policies, in)
	if denied := decision.Denied(); denied != nil {
		t.Fatalf("denied: %v", denied.ToAggregate())
	}
	stored := apply(t, in.DaemonSet, decision.Patch)
	if len(stored.Spec.Template.Spec.NodeSelector) == 0 {
		stored.Spec.Template.Spec.NodeSelector = nil // as the API server stores it
	}
	again := in
	again.DaemonSet = stored
	if left := decide(policies, again); len(left.Patch) > 0 || left.Denied() != nil {
		t.Fatalf("the validating webhook finds left over %s and denies %v", left.Patch.AppendJSON(nil), left.Denied())
	}
	return stored
}

func newImage(ds *appsv1.DaemonSet) *appsv1.DaemonSet {
	updated := ds.DeepCopy()
	updated.Spec.Template.Spec.Containers[0].Image += "x"
	return updated
}

func TestAnUpdatePolicySaysWhichUpdatesBringADaemonSetIntoLine(t *testing.T) {
	tests := map[v1alpha1.UpdatePolicy]struct{ annotated, rolled map[string]string }{
		v1alpha1.UpdateOnTemplateChange: {nil, map[string]string{"pool": "logs"}},
		v1alpha1.UpdateAlways:           {map[string]string{"pool": "logs"}, map[string]string{"pool": "logs"}},
		v1alpha1.UpdateCreateOnly:       {nil, nil},
	}
	for updatePolicy, test := range tests {
		t.Run(string(updatePolicy), func(t *testing.T) {
			policies := compile(t, policy(t, "p", "nodeSelector: {pool: logs}\nupdatePolicy: "+string(updatePolicy)))
			old := daemonSet(t, tutorial)
			annotated := old.DeepCopy()
			annotated.Annotations = map[string]string{"a": "b"}
			got := struct{ annotated, rolled map[string]string }{
				admit(t, policies, write{DaemonSet: annotated, Old: old}).Spec.Template.Spec.NodeSelector,
				admit(t, policies, write{DaemonSet: newImage(old), Old: old}).Spec.Template.Spec.NodeSelector,
			}
			if diff := cmp.Diff(test, got, cmp.AllowUnexported(got)); diff != "" {
				t.Errorf("nodeSelector (-want +got):\n%s", diff)
			}
			if created := admit(t, policies, write{DaemonSet: old}); created.Spec.Template.Spec.NodeSelector["pool"] != "logs" {
				t.Error("a new DaemonSet is not brought into line")
			}
		})
	}
}

// everything requires one of each thing that berth can inject.
const everything = `
nodeSelector: {pool: logs}
nodeRequirements: [{key: arch, operator: NotIn, values: [arm]}]
tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]`

func TestARemovedPolicyLeavesNoOrphanOnTheNextTemplateChange(t *testing.T) {
	affinities := map[string]string{
		"without affinity of the user's": "",
		"beside a term of the user's":    `[{matchExpressions: [{key: disk, operator: Exists}]}]`,
	}
	for name, terms := range affinities {
		t.Run(name, func(t *testing.T) {
			created := daemonSet(t, tutorial)
			created.Spec.Template.Spec.NodeSelector = map[string]string{"mine": "1"}
			created.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: "mine", Operator: "Exists"}}
			if terms != "" {
				withAffinity(t, created, terms)
			}
			stored := admit(t, compile(t, policy(t, "p", everything)), write{DaemonSet: created})

			annotated := stored.DeepCopy()
			annotated.Labels = map[string]string{"a": "b"}
			if diff := cmp.Diff(annotated, admit(t, placement.Policies{}, write{DaemonSet: annotated, Old: stored})); diff != "" {
				t.Errorf("an update that leaves the template alone rolls it (-want +got):\n%s", diff)
			}

			rolled := admit(t, placement.Policies{}, write{DaemonSet: newImage(stored), Old: stored})
			want := newImage(created).Spec.Template
			if diff := cmp.Diff(want, rolled.Spec.Template); diff != "" {
				t.Errorf("template (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAChangedPolicyReplacesOnlyItsOwnValues(t *testing.T) {
	stored := admit(t, compile(t, policy(t, "p", "nodeSelector: {pool: logs, zone: a}")), write{DaemonSet: daemonSet(t, tutorial)})
	changed := compile(t, policy(t, "p", "nodeSelector: {pool: web, zone: b}\nconflictPolicy: PreferExisting"))

	edited := newImage(stored)
	edited.Spec.Template.Spec.NodeSelector["zone"] = "mine"
	got := admit(t, changed, write{DaemonSet: edited, Old: stored})
	if diff := cmp.Diff(map[string]string{"pool": "web", "zone": "mine"}, got.Spec.Template.Spec.NodeSelector); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
}

func TestRolloutUndoBringsBackOldValuesOfBerthsOwnAndIsNotDeniedForThem(t *testing.T) {
	before := admit(t, compile(t, policy(t, "p", "nodeSelector: {pool: logs}")), write{DaemonSet: daemonSet(t, tutorial)})
	after := compile(t, policy(t, "p", "nodeSelector: {pool: web}"))
	rolled := admit(t, after, write{DaemonSet: newImage(before), Old: before})

	undone := rolled.DeepCopy()
	undone.Spec.Template = *before.Spec.Template.DeepCopy() // rollout undo patches the template only
	got := admit(t, after, write{DaemonSet: undone, Old: rolled})
	if diff := cmp.Diff(map[string]string{"pool": "web"}, got.Spec.Template.Spec.NodeSelector); diff != "" {
		t.Errorf("nodeSelector under the changed policy (-want +got):\n%s", diff)
	}
	// Without the policy the old value goes, for it was berth's.
	got = admit(t, placement.Policies{}, write{DaemonSet: undone, Old: rolled})
	if diff := cmp.Diff(map[string]string(nil), got.Spec.Template.Spec.NodeSelector); diff != "" {
		t.Errorf("nodeSelector without the policy (-want +got):\n%s", diff)
	}
}

func TestTolerationsAreAppendedWhereNotToleratedAlready(t *testing.T) {
	const spec = `tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}, {key: team, value: a}]`
	tests := map[string]struct {
		have []corev1.Toleration
		want []corev1.Toleration
	}{
		"to none": {
			want: []corev1.Toleration{{Key: "gpu", Operator: "Exists", Effect: "NoSchedule"}, {Key: "team", Value: "a"}},
		},
		"to others": {
			have: []corev1.Toleration{{Key: "gpu", Operator: "Exists", Effect: "NoExecute"}, {Key: "team", Operator: "Equal", Value: "a"}},
			want: []corev1.Toleration{{Key: "gpu", Operator: "Exists", Effect: "NoExecute"}, {Key: "team", Operator: "Equal", Value: "a"}, {Key: "gpu", Operator: "Exists", Effect: "NoSchedule"}},
		},
		"but not to one that tolerates everything": {
			have: []corev1.Toleration{{Operator: "Exists"}},
			want: []corev1.Toleration{{Operator: "Exists"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			ds.Spec.Template.Spec.Tolerations = test.have
			got := admit(t, compile(t, policy(t, "p", spec)), write{DaemonSet: ds})
			if diff := cmp.Diff(test.want, got.Spec.Template.Spec.Tolerations); diff != "" {
				t.Errorf("tolerations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNothingIsAnOrphanWhileItsPolicyIsInvalid(t *testing.T) {
	stored := admit(t, compile(t, policy(t, "p", "nodeSelector: {pool: logs}")), write{DaemonSet: daemonSet(t, tutorial)})
	for _, failurePolicy := range []string{"Fail", "Ignore"} {
		invalid, _ := placement.Compile([]v1alpha1.PlacementPolicy{policy(t, "p", "mode: Sleep\nnodeSelector: {pool: logs}\nfailurePolicy: "+failurePolicy)})
		got := admit(t, invalid, write{DaemonSet: newImage(stored), Old: stored})
		if diff := cmp.Diff(map[string]string{"pool": "logs"}, got.Spec.Template.Spec.NodeSelector); diff != "" {
			t.Errorf("failurePolicy %s: nodeSelector (-want +got):\n%s", failurePolicy, diff)
		}
	}
}
