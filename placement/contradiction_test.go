package placement_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	"berth.dev/berth/api/v1alpha1"
)

// Each case gives the tutorial's DaemonSet, which gets nodeSelector app=example,
// node affinity of its own.
func TestAPlacementIsDeniedExactlyWhenNoNodeCouldEverMatch(t *testing.T) {
	tests := map[string]struct {
		terms  string
		denied bool
	}{
		"a value that is not the required one":       {`[{matchExpressions: [{key: app, operator: In, values: [other]}]}]`, true},
		"the required value among others":            {`[{matchExpressions: [{key: app, operator: In, values: [other, example]}]}]`, false},
		"all values but the required one":            {`[{matchExpressions: [{key: app, operator: NotIn, values: [example]}]}]`, true},
		"the required key absent":                    {`[{matchExpressions: [{key: app, operator: DoesNotExist}]}]`, true},
		"the required key present":                   {`[{matchExpressions: [{key: app, operator: Exists}]}]`, false},
		"the required value as a number":             {`[{matchExpressions: [{key: app, operator: Gt, values: ["3"]}]}]`, true},
		"one of two terms contradicted":              {`[{matchExpressions: [{key: app, operator: In, values: [other]}]}, {matchExpressions: [{key: disk, operator: Exists}]}]`, false},
		"both terms contradicted":                    {`[{matchExpressions: [{key: app, operator: In, values: [other]}]}, {matchExpressions: [{key: disk, operator: Exists}, {key: disk, operator: DoesNotExist}]}]`, true},
		"a key both present and absent":              {`[{matchExpressions: [{key: disk, operator: Exists}, {key: disk, operator: DoesNotExist}]}]`, true},
		"a key absent and without a value":           {`[{matchExpressions: [{key: disk, operator: DoesNotExist}, {key: disk, operator: NotIn, values: [ssd]}]}]`, false},
		"two lists of values that meet":              {`[{matchExpressions: [{key: disk, operator: In, values: [a, b]}, {key: disk, operator: In, values: [b, c]}]}]`, false},
		"two lists of values that do not":            {`[{matchExpressions: [{key: disk, operator: In, values: [a]}, {key: disk, operator: In, values: [c]}]}]`, true},
		"values all excluded":                        {`[{matchExpressions: [{key: disk, operator: In, values: [a, b]}, {key: disk, operator: NotIn, values: [a]}, {key: disk, operator: NotIn, values: [b]}]}]`, true},
		"a range with a number in it":                {`[{matchExpressions: [{key: cpu, operator: Gt, values: ["3"]}, {key: cpu, operator: Lt, values: ["5"]}]}]`, false},
		"a range with no number in it":               {`[{matchExpressions: [{key: cpu, operator: Gt, values: ["3"]}, {key: cpu, operator: Lt, values: ["4"]}]}]`, true},
		"the narrower of two bounds counts":          {`[{matchExpressions: [{key: cpu, operator: Gt, values: ["8"]}, {key: cpu, operator: Gt, values: ["3"]}, {key: cpu, operator: Lt, values: ["6"]}]}]`, true},
		"the narrower of two upper bounds":           {`[{matchExpressions: [{key: cpu, operator: Lt, values: ["3"]}, {key: cpu, operator: Lt, values: ["9"]}, {key: cpu, operator: Gt, values: ["4"]}]}]`, true},
		"a value outside a range":                    {`[{matchExpressions: [{key: cpu, operator: In, values: ["2", x]}, {key: cpu, operator: Gt, values: ["2"]}]}]`, true},
		"a value inside a range":                     {`[{matchExpressions: [{key: cpu, operator: In, values: ["2", "3"]}, {key: cpu, operator: Gt, values: ["2"]}]}]`, false},
		"a bound that the API server will reject":    {`[{matchExpressions: [{key: cpu, operator: Gt, values: [many]}]}]`, false},
		"an empty term only, which matches nothing":  {`[{}]`, false},
		"a term of matchFields, which are not read":  {`[{matchFields: [{key: metadata.name, operator: In, values: [n-1]}]}]`, false},
		"an operator that the API server will catch": {`[{matchExpressions: [{key: app, operator: Is, values: [other]}]}]`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			withAffinity(t, ds, test.terms)
			outcome := decide(compile(t, policy(t, "own-label", ownLabel)), write{DaemonSet: ds}).Outcome
			if denied := outcome.Denied(); (denied != nil) != test.denied {
				t.Errorf("denied with %v, want denied: %t", denied, test.denied)
			}
		})
	}
}

func TestAContradictionWarnedOfLeavesTheObjectAsItCame(t *testing.T) {
	ds := daemonSet(t, tutorial)
	withAffinity(t, ds, `[{matchExpressions: [{key: app, operator: DoesNotExist}]}]`)
	got := answerOf(decide(compile(t, policy(t, "own-label", ownLabel+"\nvalidationActions: [Warn]")), write{DaemonSet: ds}).Outcome)
	want := answer{Warnings: []string{`remove this expression, which contradicts app=example: no node can match both; policy "own-label" requires it (from t...`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}

func TestAContradictionThatIsOnlyWarnedOfKeepsNoPolicyThatDeniesFromItsEffect(t *testing.T) {
	denies := policy(t, "denies", "nodeSelector: {zone: a}\nnodeRequirements: [{key: gen, operator: In, values: [x]}]")
	for name, warns := range map[string]string{
		"of itself":       "nodeRequirements: [{key: arch, operator: In, values: [arm]}, {key: arch, operator: NotIn, values: [arm]}]\nvalidationActions: [Warn]",
		"of the manifest": "nodeRequirements: [{key: pool, operator: NotIn, values: [mine]}]\nvalidationActions: [Warn]",
	} {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "mine"}
			in := write{DaemonSet: ds}
			alone := decide(compile(t, denies), in)
			beside := decide(compile(t, denies, policy(t, "warns", warns), policy(t, "warns-too", warns)), in)
			if diff := cmp.Diff(string(alone.Patch.AppendJSON(nil)), string(beside.Patch.AppendJSON(nil))); diff != "" {
				t.Errorf("the patch (-without the policies that warn +with them):\n%s", diff)
			}
			if len(beside.Warnings) == 0 {
				t.Error("nothing warns of the contradiction")
			}
		})
	}
}

func TestTakingTheSelectedLabelOffDoesNotEvadeThePolicy(t *testing.T) {
	policies := compile(t, policy(t, "own-label", "matchConstraints: {objectSelector: {matchLabels: {managed: yes-please}}}\n"+ownLabel))
	old := daemonSet(t, tutorial)
	old.Labels = map[string]string{"managed": "yes-please"}
	decision := decide(policies, write{DaemonSet: daemonSet(t, tutorial), Old: old})
	if diff := cmp.Diff([]string{"own-label"}, decision.Policies); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}

func TestTheRatchetHoldsOnlyWhileWhatPlacementReadsStays(t *testing.T) {
	breaking := func(ds *appsv1.DaemonSet) { ds.Spec.Template.Labels = map[string]string{"app": "other"} }
	old, updated := daemonSet(t, tutorial), daemonSet(t, tutorial)
	breaking(updated)
	in := write{DaemonSet: updated, Old: old}
	policies := compile(t, policy(t, "own-label", ownLabel))
	if decide(policies, in).Denied() == nil {
		t.Error("an update that breaks the policy is let through")
	}
	breaking(old)
	if denied := decide(policies, in).Denied(); denied != nil {
		t.Errorf("an update of an object that broke the policy before is denied: %v", denied)
	}
}

// Two policies come to contradict each other, and only warn: at an edit both wait, and what one has stays in every term.
func TestPoliciesThatOnlyWarnOfTheirContradictionKeepAtAnEditWhatTheyHave(t *testing.T) {
	const warns = "\nvalidationActions: [Warn]"
	wantsSSD := policy(t, "wants-ssd", onSSD+warns)
	wantsNone := policy(t, "wants-none", "nodeRequirements: [{key: disk, operator: NotIn, values: [ssd]}]"+warns)
	denies := policy(t, "denies", "nodeSelector: {zone: a}")
	const (
		own    = `[{matchExpressions: [{key: os, operator: Exists}]}]`
		ownTwo = `[{matchExpressions: [{key: os, operator: Exists}]}, {matchExpressions: [{key: arch, operator: Exists}]}]`
		one    = `[{matchExpressions: [{key: os, operator: Exists}, {key: disk, operator: In, values: [ssd]}]}]`
		two    = `[{matchExpressions: [{key: os, operator: Exists}, {key: disk, operator: In, values: [ssd]}]}, ` +
			`{matchExpressions: [{key: arch, operator: Exists}, {key: disk, operator: In, values: [ssd]}]}]`
		third = `[{matchExpressions: [{key: os, operator: Exists}, {key: disk, operator: In, values: [ssd]}]}, {matchExpressions: [{key: arch, operator: Exists}]}]`
	)
	tests := map[string]struct {
		edit   func(*appsv1.DaemonSet)
		beside []v1alpha1.PlacementPolicy
		terms  string
		labels map[string]string
	}{
		"another image":                    {edit: func(*appsv1.DaemonSet) {}, terms: one},
		"a term more":                      {edit: func(ds *appsv1.DaemonSet) { withAffinity(t, ds, third) }, terms: two},
		"a list that states its own terms": {edit: func(ds *appsv1.DaemonSet) { withAffinity(t, ds, own) }, terms: one},
		"a PUT of the manifest": {
			edit: func(ds *appsv1.DaemonSet) { ds.Annotations = nil; withAffinity(t, ds, ownTwo) }, terms: two,
		},
		"a term more, beside a policy that denies": {
			edit: func(ds *appsv1.DaemonSet) { withAffinity(t, ds, third) }, beside: []v1alpha1.PlacementPolicy{denies},
			terms: two, labels: map[string]string{"zone": "a"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			manifest := daemonSet(t, tutorial)
			withAffinity(t, manifest, own)
			stored := admit(t, compile(t, wantsSSD), write{DaemonSet: manifest})
			got := update(t, compile(t, append([]v1alpha1.PlacementPolicy{wantsSSD, wantsNone}, test.beside...)...), stored, test.edit)
			want := daemonSet(t, tutorial)
			withAffinity(t, want, test.terms)
			if diff := cmp.Diff(want.Spec.Template.Spec.Affinity, got.Spec.Template.Spec.Affinity); diff != "" {
				t.Errorf("affinity (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.labels, nodeSelector(got)); diff != "" {
				t.Errorf("nodeSelector (-want +got):\n%s", diff)
			}
		})
	}
}
