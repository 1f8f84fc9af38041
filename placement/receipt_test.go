package placement_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/placement"
)

// A value that no label has is none that berth has overridden: it would be refused as if its author had written it.
func TestAReceiptWhoseValueIsNoLabelIsNotBelieved(t *testing.T) {
	for name, value := range map[string]string{"an escape": `\u001b[32mX`, "a space": "a b", "long": strings.Repeat("x", 64)} {
		for form, receipt := range map[string]string{
			"now":   `{"version":2,"policies":{"p":{"nodeSelector":{"pool":"logs"}}},"overridden":{"pool":"` + value + `"}}`,
			"first": `{"nodeSelector":{"pool":"logs"},"overridden":{"pool":"` + value + `"}}`,
		} {
			t.Run(name+", "+form, func(t *testing.T) {
				stored := daemonSet(t, tutorial)
				stored.Annotations = map[string]string{placement.InjectedAnnotation: receipt}
				stored.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "logs"}
				got := update(t, placement.Policies{}, stored, nil)
				if diff := cmp.Diff(map[string]string{"pool": "logs"}, nodeSelector(got)); diff != "" {
					t.Errorf("nodeSelector (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// What berth overrides it can give back: of its author's words it takes none that is no label.
func TestPreferPolicyDoesNotTakeTheAuthorsValueThatIsNoLabel(t *testing.T) {
	ds := daemonSet(t, tutorial)
	ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "a b"}
	got := answerOf(decide(compile(t, policy(t, "p", "nodeSelector: {pool: logs}\nconflictPolicy: PreferPolicy")), write{DaemonSet: ds}).Outcome)
	want := answer{Denied: []string{`spec.template.spec.nodeSelector[pool]: Invalid value: "a b": policy "p" requires "logs": remove the key or set it to "logs"`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}
