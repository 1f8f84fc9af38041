package placement_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// A DaemonSet from before two policies is annotated, so that one of them acts, and the other waits for the next change
// of its template. What the first would write against the second is what it is when both act: a contradiction.
func TestAPolicyThatActsAlwaysWritesNothingAgainstOneThatWaits(t *testing.T) {
	const (
		a      = "nodeSelector: {pool: a}"
		b      = "updatePolicy: Always\nnodeSelector: {pool: b}"
		notA   = "updatePolicy: Always\nnodeRequirements: [{key: pool, operator: NotIn, values: [a]}]"
		onlyA  = "nodeRequirements: [{key: pool, operator: In, values: [a]}]"
		warns  = "\nvalidationActions: [Warn]"
		prefer = "\nconflictPolicy: PreferPolicy"
		exists = "\nconflictPolicy: PreferExisting"

		labels    = `policy "two-a" requires pool=a (from its nodeSelector), policy "two-b" requires pool=b (from its nodeSelector): no no...`
		labelsOff = `not applied: policy "two-a" requires pool=a (from its nodeSelector), policy "two-b" requires pool=b (from its nodeSel...`
	)
	poolNotA := []corev1.NodeSelectorRequirement{{Key: "pool", Operator: "NotIn", Values: []string{"a"}}}
	type stored struct {
		Selector    map[string]string
		Expressions []corev1.NodeSelectorRequirement
		Warnings    []string
	}
	pool := func(value string) map[string]string { return map[string]string{"pool": value} }
	tests := map[string]struct {
		waits, acts string
		// more is a third policy, and authored the nodeSelector of the author.
		more     string
		authored map[string]string
		want     stored
	}{
		"labels":                      {waits: a, acts: b, want: stored{Warnings: []string{labelsOff}}},
		"labels, of its author's own": {waits: a, acts: b + prefer, authored: pool("a"), want: stored{Selector: pool("a"), Warnings: []string{labelsOff}}},
		"labels, of its author's own third value":      {waits: a, acts: b + prefer, authored: pool("c"), want: stored{Selector: pool("c"), Warnings: []string{labelsOff}}},
		"labels, the one that waits warns":             {waits: a + warns, acts: b, want: stored{Warnings: []string{labelsOff}}},
		"labels, the one that acts warns":              {waits: a, acts: b + warns, want: stored{Warnings: []string{labels}}},
		"labels, the one that waits prefers others'":   {waits: a + exists, acts: b, want: stored{Warnings: []string{labelsOff}}},
		"labels, the one that waits prefers its own":   {waits: a + prefer, acts: b, want: stored{Warnings: []string{labelsOff}}},
		"labels, one that keeps its author's":          {waits: a, acts: b + exists, authored: pool("a"), want: stored{Selector: pool("a")}},
		"labels that are there already":                {waits: a, acts: b, authored: pool("b"), want: stored{Selector: pool("b")}},
		"labels, beside what a third requires":         {waits: a, acts: b + warns, more: "updatePolicy: Always\nnodeSelector: {zone: z}", want: stored{Selector: map[string]string{"zone": "z"}, Warnings: []string{labels}}},
		"no contradiction: the same":                   {waits: a, acts: "updatePolicy: Always\nnodeSelector: {pool: a}", want: stored{Selector: pool("a")}},
		"no contradiction: another key":                {waits: a, acts: "updatePolicy: Always\nnodeSelector: {zone: z}", want: stored{Selector: map[string]string{"zone": "z"}}},
		"not against one in mode Audit":                {waits: a + "\nmode: Audit", acts: b, want: stored{Selector: pool("b")}},
		"not against one that acts on creation only":   {waits: a + "\nupdatePolicy: CreateOnly", acts: b, want: stored{Selector: pool("b")}},
		"not against one whose conditions are not met": {waits: a + "\nmatchConditions: [{name: c, expression: 'false'}]", acts: b, want: stored{Selector: pool("b")}},
		"an expression against a label": {waits: a, acts: notA, want: stored{Warnings: []string{
			`not applied: ask a cluster admin to change one of them: policy "two-b" requires pool NotIn [a] (from its nodeRequirem...`}}},
		"an expression against a label, and warns": {waits: a, acts: notA + warns, more: "updatePolicy: Always\nnodeSelector: {zone: z}", want: stored{
			Selector: map[string]string{"zone": "z"},
			Warnings: []string{`ask a cluster admin to change one of them: policy "two-b" requires pool NotIn [a] (from its nodeRequirements), which ...`},
		}},
		"a label against an expression": {waits: onlyA, acts: b, want: stored{Warnings: []string{
			`not applied: ask a cluster admin to change one of them: policy "two-a" requires pool In [a] (from its nodeRequirement...`}}},
		"an expression against an expression": {waits: onlyA, acts: notA, want: stored{Warnings: []string{
			`not applied: ask a cluster admin to change one of them: policy "two-b" requires pool NotIn [a] (from its nodeRequirem...`}}},
		"an expression, not against one in mode Audit":              {waits: onlyA + "\nmode: Audit", acts: notA, want: stored{Expressions: poolNotA}},
		"an expression that contradicts none":                       {waits: a, acts: "updatePolicy: Always\nnodeRequirements: [{key: pool, operator: NotIn, values: [b]}]", want: stored{Expressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: "NotIn", Values: []string{"b"}}}}},
		"an expression beside a label that its author contradicts":  {waits: a, acts: "updatePolicy: Always\nnodeRequirements: [{key: pool, operator: Exists}]", authored: pool("c"), want: stored{Selector: pool("c"), Expressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: "Exists"}}}},
		"an expression beside one that its author contradicts, too": {waits: onlyA, acts: "updatePolicy: Always\nnodeRequirements: [{key: pool, operator: Exists}]", authored: pool("c"), want: stored{Selector: pool("c"), Expressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: "Exists"}}}},
	}
	for name, test := range tests {
		// Which of the two comes first by name makes no difference but to the words.
		for _, names := range [][2]string{{"two-a", "two-b"}, {"two-z", "two-b"}} {
			t.Run(name+", "+names[0], func(t *testing.T) {
				list := []v1alpha1.PlacementPolicy{policy(t, names[0], test.waits), policy(t, names[1], test.acts)}
				if test.more != "" {
					list = append(list, policy(t, "two-c", test.more))
				}
				old := daemonSet(t, tutorial)
				old.Spec.Template.Spec.NodeSelector = test.authored
				annotated := old.DeepCopy()
				annotated.Annotations = map[string]string{"a": "b"}
				in := write{DaemonSet: annotated, Old: old, Conditions: func(string, placement.Which) (bool, error) { return false, nil }}
				is := admit(t, compile(t, list...), in)
				got := stored{nodeSelector(is), expressions(is), decide(compile(t, list...), in).Warnings}
				want := test.want
				want.Warnings = nil
				for _, w := range test.want.Warnings {
					want.Warnings = append(want.Warnings, strings.ReplaceAll(w, "two-a", names[0]))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// What the policy that acts has already stays with it, where its new value contradicts one that waits.
func TestAnEditedPolicyKeepsWhatItHasWhereItsNewValueContradictsOneThatWaits(t *testing.T) {
	for name, test := range map[string]struct{ was, is string }{
		"a label":       {"nodeSelector: {pool: old}", "nodeSelector: {pool: b}"},
		"an expression": {"nodeRequirements: [{key: disk, operator: In, values: [ssd]}]", "nodeRequirements: [{key: pool, operator: In, values: [b]}]"},
	} {
		for _, actions := range []string{"", "\nvalidationActions: [Warn]"} {
			t.Run(name+actions, func(t *testing.T) {
				const always = "\nupdatePolicy: Always"
				created := admit(t, compile(t, policy(t, "two-b", test.was+always)), write{DaemonSet: daemonSet(t, tutorial)})
				edited := compile(t, policy(t, "two-a", "nodeSelector: {pool: a}"), policy(t, "two-b", test.is+always+actions))
				annotated := created.DeepCopy()
				annotated.Labels = map[string]string{"a": "b"}
				if diff := cmp.Diff(annotated, admit(t, edited, write{DaemonSet: annotated, Old: created})); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A policy into whose scope a write brings the DaemonSet waits, and denies only for what its author says.
func TestComingIntoTheScopeOfTwoPoliciesThatContradictEachOtherIsNotDenied(t *testing.T) {
	const labelled = "\nmatchConstraints: {objectSelector: {matchLabels: {tier: x}}}"
	policies := compile(t, policy(t, "two-a", "nodeSelector: {pool: a}"+labelled), policy(t, "two-b", "nodeSelector: {pool: b}"))
	old := daemonSet(t, tutorial)
	updated := old.DeepCopy()
	updated.Labels = map[string]string{"tier": "x"}
	if diff := cmp.Diff(updated, admit(t, policies, write{DaemonSet: updated, Old: old})); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}
