package placement_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRequirementsGoIntoEveryTermThatCanMatch(t *testing.T) {
	ds := daemonSet(t, tutorial)
	ds.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "In", Values: []string{"example", "a"}}}
	withAffinity(t, ds, `[{matchExpressions: [{key: disk, operator: Exists}]}, {}, {matchFields: [{key: metadata.name, operator: In, values: [n-1]}]}, {matchExpressions: [{key: app, operator: In, values: [a, example]}]}]`)
	got := answerOf(decide(compile(t, policy(t, "own-label", ownLabel)), write{DaemonSet: ds}).Outcome)
	const terms = "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms"
	want := answer{Patch: `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"app":"example"}},` +
		`{"op":"add","path":"` + terms + `/0/matchExpressions/-","value":{"key":"app","operator":"In","values":["a","example"]}},` +
		`{"op":"add","path":"` + terms + `/2/matchExpressions","value":[{"key":"app","operator":"In","values":["a","example"]}]},` +
		`{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"app\":\"example\"},\"nodeRequirements\":[{\"key\":\"app\",\"operator\":\"In\",\"values\":[\"a\",\"example\"],\"except\":[3]}]}}}"}}]`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}

func TestRequiredNodeAffinityIsMadeWithTheParentsThatAreMissing(t *testing.T) {
	const expression = `{"matchExpressions":[{"key":"app","operator":"Exists"}]}`
	tests := map[string]struct {
		affinity *corev1.Affinity
		want     string
	}{
		"affinity": {
			want: `{"op":"add","path":"/spec/template/spec/affinity","value":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[` + expression + `]}}}}`,
		},
		"nodeAffinity": {
			affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}},
			want:     `{"op":"add","path":"/spec/template/spec/affinity/nodeAffinity","value":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[` + expression + `]}}}`,
		},
		"requiredDuringSchedulingIgnoredDuringExecution": {
			affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}},
			want:     `{"op":"add","path":"/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution","value":{"nodeSelectorTerms":[` + expression + `]}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			ds.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Exists"}}}
			ds.Spec.Template.Spec.Affinity = test.affinity
			decision := decide(compile(t, policy(t, "own-label", ownLabel)), write{DaemonSet: ds})
			if diff := cmp.Diff(test.want, strings.TrimPrefix(string(decision.Patch[:1].AppendJSON(nil)[:len(test.want)+1]), "[")); diff != "" {
				t.Errorf("first operation (-want +got):\n%s", diff)
			}
			apply(t, ds, decision.Patch)
		})
	}
}
