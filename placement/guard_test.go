package placement_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/placement"
)

var acknowledgement = regexp.MustCompile(`berth.dev/acknowledge[=:] ?([0-9a-f]{12})`)

// losing is an update that takes a DaemonSet off all its nodes.
func losing(t *testing.T) write {
	t.Helper()
	old := daemonSet(t, tutorial)
	updated := old.DeepCopy()
	updated.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "none"}
	return write{DaemonSet: updated, Old: old, Nodes: fleet()}
}

func TestOnlyWhatDeniesStandsInForTheGuard(t *testing.T) {
	guard := policy(t, "guard", "nodeChecks: {validationActions: [Deny]}")
	lost := decide(compile(t, guard), losing(t)).Denied()
	if len(lost) != 2 {
		t.Fatalf("the guard alone denies with %v, want too few nodes and too many lost", lost)
	}
	for name, beside := range map[string]string{
		"a violation that is warned of":        "nodeSelector: {disk: ssd}\nvalidationActions: [Warn]",
		"a violation for the audit":            "nodeSelector: {disk: ssd}\nvalidationActions: [Audit]",
		"a list of requirements":               "nodeRequirements: [{key: disk, operator: NotIn, values: [none]}]\nvalidationActions: [Warn]",
		"a source that cannot be read":         "nodeSelectorFrom: [{type: WorkloadAnnotation, workloadAnnotation: {key: x}}]\nfailurePolicy: Ignore",
		"another guard that warns":             "nodeChecks: {validationActions: [Warn]}",
		"a policy in mode Audit":               "mode: Audit\nnodeSelector: {disk: ssd}",
		"a policy that waits":                  "updatePolicy: CreateOnly\nnodeSelector: {disk: ssd}",
		"a value that the policy leaves as is": "nodeSelector: {disk: ssd}\nconflictPolicy: PreferExisting",
	} {
		in := losing(t)
		in.DaemonSet.Annotations = map[string]string{"x": "=,="}
		if denied := decide(compile(t, guard, policy(t, "beside", beside)), in).Denied(); len(denied) != 2 {
			t.Errorf("beside %s the guard denies with %v", name, denied)
		}
	}
}

func TestAGuardAppliesToDaemonSetsOfWhichNothingIsRequired(t *testing.T) {
	guard := compile(t, policy(t, "guard", "nodeChecks: {minMatchingNodes: 3, validationActions: [Deny]}"))
	ds := daemonSet(t, tutorial)
	if decision := decide(guard, write{DaemonSet: ds, Nodes: fleet()}); decision.Denied() != nil || len(decision.Patch) > 0 {
		t.Errorf("a DaemonSet on all nodes: denied with %v, patched with %s", decision.Denied(), decision.Patch.AppendJSON(nil))
	}
	ds.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	if decide(guard, write{DaemonSet: ds, Nodes: fleet()}).Denied() == nil {
		t.Error("a DaemonSet on 2 nodes is let through, where 3 are asked for")
	}
}

// An author could else take a policy's only requirement out of the same write
// that its guard would deny.
func TestAPolicyGuardsTheUpdateThatTakesAwayAllThatItAsks(t *testing.T) {
	policies := compile(t, policy(t, "p", "nodeSelectorFrom: [{type: WorkloadAnnotation, workloadAnnotation: {key: berth.dev/node-selector}}]\nnodeChecks: {validationActions: [Deny]}"))
	in := losing(t)
	in.Old.Annotations = map[string]string{"berth.dev/node-selector": "disk=ssd"}
	in.Old.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	if decide(policies, in).Denied() == nil {
		t.Error("let through")
	}
}

// Each case is a write in its two phases: the second has the name that the API
// server makes, and what a later webhook adds.
func TestTheAcknowledgementInAMessageCountsInBothPhases(t *testing.T) {
	policies := compile(t, policy(t, "guard", "nodeChecks: {validationActions: [Deny]}"))
	sidecar := func(ds *appsv1.DaemonSet) {
		ds.Spec.Template.Spec.Tolerations = append(ds.Spec.Template.Spec.Tolerations, corev1.Toleration{Key: "sidecar", Operator: "Exists"})
	}
	creation := losing(t)
	creation.Old = nil
	creation.DaemonSet.Name, creation.DaemonSet.GenerateName = "", "agent-"
	for name, test := range map[string]struct {
		in    write
		later func(*appsv1.DaemonSet)
	}{
		"a name that the API server makes":          {creation, func(ds *appsv1.DaemonSet) { ds.Name = "agent-x7k2p" }},
		"a toleration that a later webhook adds":    {losing(t), sidecar},
		"a toleration on creation, and such a name": {creation, func(ds *appsv1.DaemonSet) { ds.Name = "agent-x7k2p"; sidecar(ds) }},
	} {
		message := decide(policies, test.in).Denied()[0].Detail
		found := acknowledgement.FindStringSubmatch(message)
		if found == nil {
			t.Fatalf("%s: no acknowledgement in %q", name, message)
		}
		for phase, change := range []func(*appsv1.DaemonSet){func(*appsv1.DaemonSet) {}, test.later} {
			again := test.in
			again.DaemonSet = test.in.DaemonSet.DeepCopy()
			again.DaemonSet.Annotations = map[string]string{placement.AcknowledgeAnnotation: found[1]}
			change(again.DaemonSet)
			if denied := decide(policies, again).Denied(); denied != nil {
				t.Errorf("%s, phase %d: denied although it is acknowledged: %v", name, phase+1, denied)
			}
		}
	}
}

func TestAContradictionNamesThePolicyAndTheSourceOfWhatIsNotTheAuthors(t *testing.T) {
	const terms = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
	fromNamespace := policy(t, "team", "nodeSelectorFrom: [{type: NamespaceAnnotation}]")
	in := write{DaemonSet: daemonSet(t, tutorial), Namespace: placement.Namespace{Name: "shop", Annotations: map[string]string{
		"scheduler.alpha.kubernetes.io/node-selector": "pool=team-a",
	}}}
	withTerm := in
	withTerm.DaemonSet = in.DaemonSet.DeepCopy()
	withAffinity(t, withTerm.DaemonSet, `[{matchExpressions: [{key: pool, operator: NotIn, values: [team-a]}]}]`)
	other := policy(t, "other", "nodeRequirements: [{key: pool, operator: NotIn, values: [team-a]}]")
	const annotation = `policy "team" requires it (from annotation scheduler.alpha.kubernetes.io/node-selector of namespace "shop")`
	for name, test := range map[string]struct {
		in   write
		got  placement.Policies
		want string
	}{
		"of an author's expression": {withTerm, compile(t, fromNamespace),
			terms + `[0].matchExpressions[0]: Invalid value: "pool NotIn [team-a]": remove this expression, which contradicts pool=team-a: no node can match both; ` + annotation},
		"of another policy": {in, compile(t, fromNamespace, other),
			terms + `: Forbidden: ask a cluster admin to change one of them: policy "other" requires pool NotIn [team-a] (from its nodeRequirements), which contradicts pool=team-a: no node can match both; ` + annotation},
		"of two policies' expressions": {in, compile(t, other, policy(t, "third", "nodeRequirements: [{key: pool, operator: In, values: [team-a]}]")),
			terms + `: Forbidden: ask a cluster admin to change one of them: policy "other" requires pool NotIn [team-a] (from its nodeRequirements), which contradicts pool In [team-a]: no node can match both; policy "third" requires it (from its nodeRequirements)`},
	} {
		if diff := cmp.Diff([]string{test.want}, answerOf(decide(test.got, test.in).Outcome).Denied); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
