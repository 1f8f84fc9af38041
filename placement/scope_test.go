package placement_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	"berth.dev/berth/placement"
)

// Each case updates a DaemonSet whose author says zone b, where the policy
// requires zone a, and so would be denied on creation.
func TestWhatAnUpdateBringsIntoAPolicysScopeIsAsNew(t *testing.T) {
	const (
		plain       = "\nnodeSelector: {zone: a}"
		labelled    = plain + "\nmatchConstraints: {objectSelector: {matchLabels: {tier: x}}}"
		conditional = plain + "\nmatchConditions: [{name: c, expression: 'true'}]"
		createOnly  = "\nupdatePolicy: CreateOnly"
		denied      = `spec.template.spec.nodeSelector[zone]: Invalid value: "b": policy "p" requires "a": remove the key or set it to "a"`
		stays       = `not applied: policy "p" requires "a": remove the key or set it to "a"`
		warned      = `policy "p" requires "a": remove the key or set it to "a" (spec.template.spec.nodeSelector[zone])`
	)
	label := func(ds *appsv1.DaemonSet) { ds.Labels = map[string]string{"tier": "x"} }
	both := func(ds *appsv1.DaemonSet) { label(ds); *ds = *newImage(ds) }
	image := func(ds *appsv1.DaemonSet) { *ds = *newImage(ds) }
	annotate := func(ds *appsv1.DaemonSet) { ds.Annotations = map[string]string{"a": "b"} }
	met := func(byOld bool, err error) placement.Conditions {
		return func(_ string, by placement.Which) (bool, error) {
			if by == placement.Old {
				return byOld, err
			}
			return true, nil
		}
	}
	tests := map[string]struct {
		policy      string
		edit        func(*appsv1.DaemonSet)
		oldExcluded bool
		conditions  placement.Conditions
		want        answer
	}{
		"by a label, without a change of the template":        {policy: labelled, edit: label, want: answer{Denied: []string{denied}}},
		"by a label, together with a change":                  {policy: labelled, edit: both, want: answer{Denied: []string{denied}}},
		"by a label, of a policy that acts on creation":       {policy: labelled + createOnly, edit: label, want: answer{Denied: []string{denied}}},
		"by a label, of a policy that acts always":            {policy: labelled + "\nupdatePolicy: Always", edit: label, want: answer{Denied: []string{denied}}},
		"by a label, of a policy that warns":                  {policy: labelled + "\nvalidationActions: [Warn]", edit: label, want: answer{Warnings: []string{warned}}},
		"by its priority class":                               {policy: plain, edit: image, oldExcluded: true, want: answer{Denied: []string{denied}}},
		"by its priority class, of one that acts on creation": {policy: plain + createOnly, edit: image, oldExcluded: true, want: answer{Denied: []string{denied}}},
		"by a condition, without a change":                    {policy: conditional, edit: annotate, conditions: met(false, nil), want: answer{Denied: []string{denied}}},
		"by a condition, together with a change":              {policy: conditional, edit: image, conditions: met(false, nil), want: answer{Denied: []string{denied}}},
		"by a condition that fails on the stored object":      {policy: conditional, edit: image, conditions: met(false, errors.New("no such key")), want: answer{Denied: []string{denied}}},
		"by a condition, of one that acts on creation":        {policy: conditional + createOnly, edit: image, conditions: met(false, nil), want: answer{Denied: []string{denied}}},
		"but not what a condition has let in before":          {policy: conditional, edit: image, conditions: met(true, nil), want: answer{Warnings: []string{stays}}},
		"nor what a condition has let in, annotated":          {policy: conditional, edit: annotate, conditions: met(true, nil), want: answer{}},
		"nor what a younger policy finds":                     {policy: plain, edit: image, want: answer{Warnings: []string{stays}}},
		"nor where PreferPolicy waits for the next change":    {policy: labelled + "\nconflictPolicy: PreferPolicy", edit: label, want: answer{}},
		"nor where PreferExisting asks nothing":               {policy: labelled + "\nconflictPolicy: PreferExisting", edit: label, want: answer{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			old := daemonSet(t, tutorial)
			old.Spec.Template.Spec.NodeSelector = map[string]string{"zone": "b"}
			updated := old.DeepCopy()
			test.edit(updated)
			in := write{DaemonSet: updated, Old: old, Conditions: test.conditions}
			selected, q := applicable(compile(t, policy(t, "p", strings.TrimSpace(test.policy))), in)
			q.OldExcluded = test.oldExcluded
			if diff := cmp.Diff(test.want, answerOf(selected.Decide(q).Outcome)); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

func TestComingIntoScopeAddsNothingBeforeTheTemplateChanges(t *testing.T) {
	for _, updatePolicy := range []string{"OnTemplateChange", "CreateOnly"} {
		policies := compile(t, policy(t, "p", "nodeSelector: {zone: a}\nupdatePolicy: "+updatePolicy+
			"\nmatchConstraints: {objectSelector: {matchLabels: {tier: x}}}"))
		old := daemonSet(t, tutorial)
		labelled := old.DeepCopy()
		labelled.Labels = map[string]string{"tier": "x"}
		if diff := cmp.Diff(answer{}, answerOf(decide(policies, write{DaemonSet: labelled, Old: old}).Outcome)); diff != "" {
			t.Errorf("%s, labelled (-want +got):\n%s", updatePolicy, diff)
		}
		changed := newImage(labelled)
		if patch := decide(policies, write{DaemonSet: changed, Old: old}).Patch; len(patch) == 0 {
			t.Errorf("%s, labelled together with a new image: nothing is added", updatePolicy)
		}
	}
}
