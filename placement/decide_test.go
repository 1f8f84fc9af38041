package placement_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// answer is an Outcome in the words that users see.
type answer struct {
	Patch    string
	Denied   []string
	Warnings []string
}

func answerOf(outcome placement.Outcome) answer {
	var a answer
	if len(outcome.Patch) > 0 {
		a.Patch = string(outcome.Patch.AppendJSON(nil))
	}
	for _, err := range outcome.Denied() {
		a.Denied = append(a.Denied, err.Error())
	}
	a.Warnings = outcome.Warnings
	return a
}

const injectedApp = `{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"app\":\"example\"}}}}"}}`

func TestThePatchAddsWhatThePoliciesRequire(t *testing.T) {
	tests := map[string]struct {
		policy string
		edit   func(*appsv1.DaemonSet)
		want   string
	}{
		"the tutorial's DaemonSet gets its own label": {
			policy: ownLabel,
			want:   `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"app":"example"}},` + injectedApp + `]`,
		},
		"a nodeSelector that stands is added to, and so are annotations": {
			policy: ownLabel,
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
				ds.Annotations = map[string]string{"a": "b"}
			},
			want: `[{"op":"add","path":"/spec/template/spec/nodeSelector/app","value":"example"},` +
				`{"op":"add","path":"/metadata/annotations/berth.dev~1injected","value":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"app\":\"example\"}}}}"}]`,
		},
		"a slash and a tilde in a path are escaped": {
			policy: `nodeSelector: {example.com/pool: logs}`,
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
			},
			want: `[{"op":"add","path":"/spec/template/spec/nodeSelector/example.com~1pool","value":"logs"},` +
				`{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"example.com/pool\":\"logs\"}}}}"}}]`,
		},
		"what the user has set already is not berth's": {
			policy: ownLabel,
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"app": "example"}
			},
		},
		"a receipt that came with a new object claims nothing that no policy requires": {
			policy: `nodeSelector: {pool: new}`,
			edit: func(ds *appsv1.DaemonSet) {
				ds.Annotations = map[string]string{placement.InjectedAnnotation: `{"nodeSelector":{"disk":"ssd"}}`}
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
			},
			want: `[{"op":"add","path":"/spec/template/spec/nodeSelector/pool","value":"new"},` +
				`{"op":"add","path":"/metadata/annotations/berth.dev~1injected","value":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"pool\":\"new\"}}}}"}]`,
		},
		"PreferExisting keeps the user's value": {
			policy: "nodeSelector: {pool: logs}\nconflictPolicy: PreferExisting",
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "mine"}
			},
		},
		"PreferPolicy overwrites it": {
			policy: "nodeSelector: {pool: logs}\nconflictPolicy: PreferPolicy",
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "mine"}
			},
			want: `[{"op":"add","path":"/spec/template/spec/nodeSelector/pool","value":"logs"},` +
				`{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"pool\":\"logs\"}}},\"overridden\":{\"pool\":\"mine\"}}"}}]`,
		},
		"only keys with one of the prefixes count, less the excepted": {
			policy: `nodeSelectorFrom: [{type: WorkloadSelector, workloadSelector: {keyPrefixes: [node.example.com/, zone], exceptKeys: [zone-b]}}]`,
			edit: func(ds *appsv1.DaemonSet) {
				labels := map[string]string{"app": "x", "node.example.com/pool": "a", "zone-a": "1", "zone-b": "2"}
				ds.Spec.Selector.MatchLabels, ds.Spec.Template.Labels = labels, labels
			},
			want: `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"node.example.com/pool":"a","zone-a":"1"}},` +
				`{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"node.example.com/pool\":\"a\",\"zone-a\":\"1\"}}}}"}}]`,
		},
		"a policy in mode Audit patches nothing": {
			policy: "mode: Audit\n" + ownLabel,
		},
		"an object that is being deleted is let go": {
			policy: ownLabel,
			edit:   func(ds *appsv1.DaemonSet) { ds.DeletionTimestamp = &metav1.Time{} },
		},
		"another object than the objectSelector selects is left alone": {
			policy: "matchConstraints: {objectSelector: {matchLabels: {managed: yes-please}}}\n" + ownLabel,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			if test.edit != nil {
				test.edit(ds)
			}
			got := answerOf(decide(compile(t, policy(t, "own-label", test.policy)), write{DaemonSet: ds}).Outcome)
			if diff := cmp.Diff(answer{Patch: test.want}, got); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPoliciesThatContradictEachOtherBothStandInTheDenial(t *testing.T) {
	policies := []v1alpha1.PlacementPolicy{
		policy(t, "b", "nodeSelector: {pool: two}"),
		policy(t, "a", "nodeSelector: {pool: one}\nvalidationActions: [Audit]"),
	}
	want := answer{Denied: []string{`spec.template.spec.nodeSelector[pool]: Forbidden: policy "a" requires pool=one (from its nodeSelector), policy "b" requires pool=two (from its nodeSelector): no node has both; ask a cluster admin to change one of them`}}
	for range 2 {
		got := answerOf(decide(compile(t, policies...), write{DaemonSet: daemonSet(t, tutorial)}).Outcome)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Decide (-want +got):\n%s", diff)
		}
		policies[0], policies[1] = policies[1], policies[0]
	}
}

func TestAViolationOfAPolicyThatOnlyWarnsIsAWarning(t *testing.T) {
	ds := daemonSet(t, tutorial)
	ds.Spec.Template.Spec.NodeSelector = map[string]string{"app": "other"}
	policies := compile(t, policy(t, "own-label", ownLabel+"\nvalidationActions: [Warn, Audit]"))
	got := answerOf(decide(policies, write{DaemonSet: ds}).Outcome)
	want := answer{Warnings: []string{`policy "own-label" requires "example": remove the key or set it to "example" (spec.template.spec.nodeSelector[app])`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}

func TestAPolicyInModeAuditIsReportedBesideWhatIsEnforced(t *testing.T) {
	policies := compile(t, policy(t, "enforced", ownLabel), policy(t, "tried", "mode: Audit\nnodeSelector: {pool: logs}"))
	decision := decide(policies, write{DaemonSet: daemonSet(t, tutorial)})
	if diff := cmp.Diff([]string{"enforced"}, decision.Policies); diff != "" {
		t.Errorf("enforced policies (-want +got):\n%s", diff)
	}
	if decision.Audited == nil {
		t.Fatal("the policy in mode Audit is not reported")
	}
	want := `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"app":"example","pool":"logs"}},` +
		`{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"enforced\":{\"nodeSelector\":{\"app\":\"example\"}},\"tried\":{\"nodeSelector\":{\"pool\":\"logs\"}}}}"}}]`
	if diff := cmp.Diff(want, string(decision.Audited.Patch.AppendJSON(nil))); diff != "" {
		t.Errorf("audited patch (-want +got):\n%s", diff)
	}
}

func TestUpdates(t *testing.T) {
	conflicting := func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeSelector = map[string]string{"app": "other"} }
	newImage := func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = "example-image:v2" }
	tests := map[string]struct {
		old, edit       func(*appsv1.DaemonSet)
		templateChanged bool
		want            answer
	}{
		"that leave the template alone change nothing": {
			edit: func(ds *appsv1.DaemonSet) { ds.Annotations = map[string]string{"a": "b"} },
		},
		"of the template bring an object that stood before the policy into line": {
			edit: newImage, templateChanged: true,
			want: answer{Patch: `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"app":"example"}},` + injectedApp + `]`},
		},
		"that do not touch the placement are let through on an object that breaks the policy": {
			old: conflicting, edit: newImage, templateChanged: true,
			want: answer{Warnings: []string{`not applied: policy "own-label" requires "example": remove the key or set it to "example"`}},
		},
		"that break the policy are denied": {
			edit: conflicting, templateChanged: true,
			want: answer{Denied: []string{`spec.template.spec.nodeSelector[app]: Invalid value: "other": policy "own-label" requires "example": remove the key or set it to "example"`}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			old := daemonSet(t, tutorial)
			if test.old != nil {
				test.old(old)
			}
			updated := old.DeepCopy()
			test.edit(updated)
			in := write{DaemonSet: updated, Old: old}
			got := answerOf(decide(compile(t, policy(t, "own-label", ownLabel)), in).Outcome)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPlacementThatNoNodeHasIsAWarningThatSaysWhatToDo(t *testing.T) {
	nodes := placement.NodeList{node("n-1", map[string]string{"disk": "hdd"}), node("n-2", nil)}
	tests := map[string]struct {
		edit func(*appsv1.DaemonSet)
		want string
	}{
		"for a label": {
			edit: func(*appsv1.DaemonSet) {},
			want: "matches 0 of 2 nodes: label one with kubectl label nodes NODE app=example",
		},
		"for an affinity": {
			edit: func(ds *appsv1.DaemonSet) {
				withAffinity(t, ds, `[{matchExpressions: [{key: disk, operator: Exists}]}]`)
			},
			want: "matches 0 of 2 nodes: no node has app=example",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			test.edit(ds)
			outcome := decide(compile(t, policy(t, "own-label", ownLabel)), write{DaemonSet: ds, Nodes: nodes}).Outcome
			if diff := cmp.Diff([]string{test.want}, outcome.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALeftoverPatchSaysWhoRequiresWhat(t *testing.T) {
	outcome := decide(compile(t, policy(t, "own-label", ownLabel)), write{DaemonSet: daemonSet(t, tutorial)}).Outcome
	want := `spec.template.spec.nodeSelector: Required value: policy "own-label" requires app=example, and it was not there after mutation: try again; if it stays so, another mutating webhook takes it away`
	if diff := cmp.Diff(want, outcome.Leftover().ToAggregate().Error()); diff != "" {
		t.Errorf("Leftover (-want +got):\n%s", diff)
	}
}
