package placement_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/placement"
)

// update sends a changed object through policies.
func update(t *testing.T, policies placement.Policies, old *appsv1.DaemonSet, edit func(*appsv1.DaemonSet)) *appsv1.DaemonSet {
	t.Helper()
	updated := newImage(old)
	if edit != nil {
		edit(updated)
	}
	return admit(t, policies, write{DaemonSet: updated, Old: old})
}

func nodeSelector(ds *appsv1.DaemonSet) map[string]string { return ds.Spec.Template.Spec.NodeSelector }

func expressions(ds *appsv1.DaemonSet) []corev1.NodeSelectorRequirement {
	affinity := ds.Spec.Template.Spec.Affinity
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchExpressions
}

const onSSD = "nodeRequirements: [{key: disk, operator: In, values: [ssd]}]"

var ssd = []corev1.NodeSelectorRequirement{{Key: "disk", Operator: "In", Values: []string{"ssd"}}}

func TestWhatAPolicyWantsThatDoesNotActIsNoOrphan(t *testing.T) {
	const pool = "nodeSelector: {pool: logs}\n"
	created := admit(t, compile(t, policy(t, "p", pool+onSSD)), write{DaemonSet: daemonSet(t, tutorial)})
	unmet := func(string, placement.Which) (bool, error) { return false, nil }
	tests := map[string]placement.Policies{
		"its conditions are not met now": compile(t, policy(t, "p", pool+onSSD+"\nmatchConditions: [{name: c, expression: 'false'}]")),
		"it is in mode Audit now":        compile(t, policy(t, "p", "mode: Audit\n"+pool+onSSD)),
		"it is CreateOnly and edited":    compile(t, policy(t, "p", "updatePolicy: CreateOnly\n"+pool+"nodeRequirements: [{key: disk, operator: In, values: [ssd, nvme]}]")),
	}
	for name, policies := range tests {
		t.Run(name, func(t *testing.T) {
			got := admit(t, policies, write{DaemonSet: newImage(created), Old: created, Conditions: unmet})
			if diff := cmp.Diff(created.Spec.Template.Spec.Affinity, got.Spec.Template.Spec.Affinity); diff != "" {
				t.Errorf("affinity (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"pool": "logs"}, nodeSelector(got)); diff != "" {
				t.Errorf("nodeSelector (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAValueThatTheUserSetsAfterThePolicyIsGoneIsTheUsers(t *testing.T) {
	created := admit(t, compile(t, policy(t, "p", "nodeSelector: {pool: logs}")), write{DaemonSet: daemonSet(t, tutorial)})
	without := update(t, placement.Policies{}, created, nil)
	if receipt := without.Annotations[placement.InjectedAnnotation]; !strings.HasPrefix(receipt, `{"version":2,"past":[`) {
		t.Errorf("the receipt when nothing of berth's is left: %s", receipt)
	}
	set := func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "logs"} }
	mine := update(t, placement.Policies{}, without, set)
	if diff := cmp.Diff(map[string]string{"pool": "logs"}, nodeSelector(update(t, placement.Policies{}, mine, nil))); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
}

func TestTakingBackIsSaid(t *testing.T) {
	created := admit(t, compile(t, policy(t, "p", "nodeSelector: {pool: logs}")), write{DaemonSet: daemonSet(t, tutorial)})
	outcome := decide(placement.Policies{}, write{DaemonSet: newImage(created), Old: created}).Outcome
	if diff := cmp.Diff([]string{"takes back what no policy requires any more: pool=logs"}, outcome.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestRolloutUndoIsNotDeniedForOldRequirements(t *testing.T) {
	before := admit(t, compile(t, policy(t, "p", onSSD)), write{DaemonSet: daemonSet(t, tutorial)})
	changed := compile(t, policy(t, "p", "nodeRequirements: [{key: disk, operator: In, values: [nvme]}]"))
	rolled := update(t, changed, before, nil)
	undone := update(t, changed, rolled, func(ds *appsv1.DaemonSet) { ds.Spec.Template = *before.Spec.Template.DeepCopy() })
	want := []corev1.NodeSelectorRequirement{{Key: "disk", Operator: "In", Values: []string{"nvme"}}}
	if diff := cmp.Diff(want, expressions(undone)); diff != "" {
		t.Errorf("expressions (-want +got):\n%s", diff)
	}
}

func TestTheRecordDoesNotGrowWhenAManifestIsAppliedAgain(t *testing.T) {
	policies := compile(t, policy(t, "p", everything))
	manifest := daemonSet(t, tutorial)
	manifest.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: "mine", Operator: "Exists"}}
	first := admit(t, policies, write{DaemonSet: manifest})
	stored := first
	for range 3 {
		again := manifest.DeepCopy() // as an operator's PUT, without annotations
		stored = admit(t, policies, write{DaemonSet: again, Old: stored})
	}
	if diff := cmp.Diff(first, stored); diff != "" {
		t.Errorf("the object (-first +later):\n%s", diff)
	}
}

func TestAnUpdateThatBerthPutsRightIsNotDeniedForItsNodes(t *testing.T) {
	policies := compile(t, policy(t, "p", "nodeSelector: {pool: logs}\nnodeChecks: {validationActions: [Deny]}"))
	stored := daemonSet(t, tutorial)
	stored.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "logs"}
	in := write{DaemonSet: daemonSet(t, tutorial), Old: stored, Nodes: fleet()}
	decision := decide(policies, in)
	if denied := decision.Denied(); denied != nil {
		t.Fatalf("denied: %v", denied)
	}
	if diff := cmp.Diff(map[string]string{"pool": "logs"}, nodeSelector(apply(t, in.DaemonSet, decision.Patch))); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
}

func TestAValueThatAPolicyOverrodeComesBackWhenThePolicyGoes(t *testing.T) {
	mine := daemonSet(t, tutorial)
	mine.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "web"}
	overridden := admit(t, compile(t, policy(t, "p", "nodeSelector: {pool: logs}\nconflictPolicy: PreferPolicy")), write{DaemonSet: mine})
	if diff := cmp.Diff(map[string]string{"pool": "web"}, nodeSelector(update(t, placement.Policies{}, overridden, nil))); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
}

func TestAnObjectThatIsBeingDeletedIsLetGoAlsoWhereAPutLeavesThatOut(t *testing.T) {
	old, updated := daemonSet(t, tutorial), daemonSet(t, tutorial)
	old.DeletionTimestamp = &metav1.Time{}
	updated.Spec.Template.Spec.NodeName = "n-1"
	in := write{DaemonSet: updated, Old: old}
	if denied := decide(compile(t, policy(t, "p", ownLabel)), in).Denied(); denied != nil {
		t.Errorf("denied: %v", denied)
	}
}

func TestAnUndoOfAnObjectThatLostItsAnnotationsIsNotDenied(t *testing.T) {
	before := admit(t, compile(t, policy(t, "p", "nodeSelector: {pool: logs}")), write{DaemonSet: daemonSet(t, tutorial)})
	changed := compile(t, policy(t, "p", "nodeSelector: {pool: web}"))
	rolled := update(t, changed, before, nil)
	put := update(t, changed, rolled, func(ds *appsv1.DaemonSet) { ds.Annotations = nil })
	undone := update(t, changed, put, func(ds *appsv1.DaemonSet) { ds.Spec.Template = *before.Spec.Template.DeepCopy() })
	if diff := cmp.Diff(map[string]string{"pool": "web"}, nodeSelector(undone)); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
}

func TestAContradictionTakesNothingBack(t *testing.T) {
	created := admit(t, compile(t, policy(t, "p", onSSD)), write{DaemonSet: daemonSet(t, tutorial)})
	changed := compile(t, policy(t, "p", "nodeRequirements: [{key: disk, operator: In, values: [nvme]}]\nvalidationActions: [Warn]"))
	got := update(t, changed, created, func(ds *appsv1.DaemonSet) {
		terms := ds.Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
		terms[0].MatchExpressions = append(terms[0].MatchExpressions, corev1.NodeSelectorRequirement{Key: "disk", Operator: "In", Values: []string{"hdd", "ssd"}})
	})
	want := []corev1.NodeSelectorRequirement{ssd[0], {Key: "disk", Operator: "In", Values: []string{"hdd", "ssd"}}}
	if diff := cmp.Diff(want, expressions(got)); diff != "" {
		t.Errorf("expressions (-want +got):\n%s", diff)
	}
	const claims = `{"version":2,"policies":{"p":{"nodeRequirements":[{"key":"disk","operator":"In","values":["ssd"]}]}},"made":"affinity"`
	if receipt := got.Annotations[placement.InjectedAnnotation]; !strings.HasPrefix(receipt, claims) {
		t.Errorf("receipt: %s", receipt)
	}
}

func TestAPolicyThatAsksNothingOfADaemonSetDoesNotApply(t *testing.T) {
	policies := compile(t,
		policy(t, "namespace", "nodeSelectorFrom: [{type: NamespaceAnnotation}]"),
		policy(t, "workload", "nodeSelectorFrom: [{type: WorkloadAnnotation}]"))
	ds := daemonSet(t, tutorial)
	ds.Spec.Template.Spec.NodeName = "n-1"
	decision := decide(policies, write{DaemonSet: ds, Nodes: fleet(), Namespace: placement.Namespace{Name: "plain"}})
	if diff := cmp.Diff(answer{}, answerOf(decision.Outcome)); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

// An operator that resets annotations states what berth wrote. It stays, as the author's, but for what the edited policy
// contradicts: of that berth's own value gives way, be the contradiction one that denies or one that only warns.
func TestWhatAWriteStatesOfBerthsOwnGivesWayToARequirementThatContradictsIt(t *testing.T) {
	const was = "nodeRequirements: [{key: disk, operator: In, values: [ssd]}, {key: gen, operator: Exists}]"
	stored := admit(t, compile(t, policy(t, "p", was)), write{DaemonSet: daemonSet(t, tutorial)})
	for name, actions := range map[string]string{"denies": "", "warns": "\nvalidationActions: [Warn]"} {
		t.Run(name, func(t *testing.T) {
			edited := compile(t, policy(t, "p", "nodeRequirements: [{key: disk, operator: NotIn, values: [ssd]}]"+actions))
			got := update(t, edited, stored, func(ds *appsv1.DaemonSet) { ds.Annotations = nil })
			want := []corev1.NodeSelectorRequirement{{Key: "gen", Operator: "Exists"}, {Key: "disk", Operator: "NotIn", Values: []string{"ssd"}}}
			if diff := cmp.Diff(want, expressions(got)); diff != "" {
				t.Errorf("expressions (-want +got):\n%s", diff)
			}
			later := update(t, placement.Policies{}, got, nil)
			if diff := cmp.Diff(want[:1], expressions(later)); diff != "" {
				t.Errorf("expressions without the policy (-want +got):\n%s", diff)
			}
		})
	}
}

// Of two keys that are contradicted neither stands in the way.
func TestWhatAWriteStatesGivesWayOfSeveralKeys(t *testing.T) {
	stored := admit(t, compile(t, policy(t, "p", "nodeSelector: {pool: a, zone: a, rack: a, tier: a}")), write{DaemonSet: daemonSet(t, tutorial)})
	edited := policy(t, "p", `nodeRequirements: [{key: pool, operator: NotIn, values: [a]}, {key: rack, operator: NotIn, values: [a]},
  {key: tier, operator: NotIn, values: [a]}, {key: zone, operator: NotIn, values: [a]}]`)
	got := update(t, compile(t, edited), stored, func(ds *appsv1.DaemonSet) { ds.Annotations = nil })
	if selector := nodeSelector(got); len(selector) > 0 {
		t.Errorf("nodeSelector: %v", selector)
	}
	if len(expressions(got)) != 4 {
		t.Errorf("expressions: %v", expressions(got))
	}
}
