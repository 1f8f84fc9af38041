package placement_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMalformedDaemonSetsAreDeniedWithTheFieldAndTheCure(t *testing.T) {
	tests := map[string]struct {
		policy string
		edit   func(*appsv1.DaemonSet)
		want   []string
	}{
		"no selector": {
			edit: func(ds *appsv1.DaemonSet) { ds.Spec.Selector = nil },
			want: []string{`spec.selector: Required value: it must select the DaemonSet's own pods: copy spec.template.metadata.labels into spec.selector.matchLabels`},
		},
		"an empty selector": {
			edit: func(ds *appsv1.DaemonSet) { ds.Spec.Selector = &metav1.LabelSelector{} },
			want: []string{`spec.selector: Required value: it must select the DaemonSet's own pods: copy spec.template.metadata.labels into spec.selector.matchLabels`},
		},
		"a selector that does not select the template": {
			edit: func(ds *appsv1.DaemonSet) { ds.Spec.Template.Labels = map[string]string{"app": "other"} },
			want: []string{`spec.template.metadata.labels: Invalid value: "app=other": must match spec.selector (app=example): add what is missing to the template's labels`},
		},
		"a template without labels": {
			edit: func(ds *appsv1.DaemonSet) { ds.Spec.Template.Labels = nil },
			want: []string{`spec.template.metadata.labels: Invalid value: "": must match spec.selector (app=example): add what is missing to the template's labels`},
		},
		"a key that is no node label": {
			edit: func(ds *appsv1.DaemonSet) {
				labels := map[string]string{"no/label/key": "example"}
				ds.Spec.Selector.MatchLabels, ds.Spec.Template.Labels = labels, labels
			},
			want: []string{`spec.selector.matchLabels: Invalid value: "no/label/key": a valid label key must consist of alphanumeric characters`},
		},
		"a value that is no node label": {
			edit: func(ds *appsv1.DaemonSet) {
				labels := map[string]string{"app": "two words"}
				ds.Spec.Selector.MatchLabels, ds.Spec.Template.Labels = labels, labels
			},
			want: []string{`spec.selector.matchLabels: Invalid value: "two words": a valid label must be an empty string or consist of alphanumeric characters`},
		},
		"an operator that does not exist": {
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Is", Values: []string{"example"}}}
			},
			want: []string{`spec.selector.matchExpressions[0].operator: Unsupported value: "Is": supported values: "In", "NotIn", "Exists", "DoesNotExist"`},
		},
		"another value for a required key": {
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"app": "other"}
			},
			want: []string{`spec.template.spec.nodeSelector[app]: Invalid value: "other": policy "own-label" requires "example": remove the key or set it to "example"`},
		},
		"a node affinity that contradicts the required label": {
			edit: func(ds *appsv1.DaemonSet) {
				withAffinity(t, ds, `[{matchExpressions: [{key: disk, operator: Exists}, {key: app, operator: NotIn, values: [example]}]}]`)
			},
			want: []string{`spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[1]: Invalid value: "app NotIn [example]": remove this expression, which contradicts app=example: no node can match both; policy "own-label" requires it (from the DaemonSet's spec.selector)`},
		},
		"a nodeSelector that contradicts a required expression": {
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Template.Labels["zone"] = "a"
				ds.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "zone", Operator: "In", Values: []string{"a"}}}
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"zone": "b"}
			},
			want: []string{`spec.template.spec.nodeSelector[zone]: Invalid value: "b": remove it, or change it: policy "own-label" requires zone In [a] (from the DaemonSet's spec.selector), and no node can match both`},
		},
		"nodeName": {
			edit: func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.NodeName = "n-1" },
			want: []string{`spec.template.spec.nodeName: Forbidden: it binds every pod to one node, past all node labels: remove it, and label the node instead`},
		},
		"all that is wrong, at once": {
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Template.Spec.NodeName = "n-1"
				ds.Spec.Template.Spec.NodeSelector = map[string]string{"app": "other"}
			},
			want: []string{
				`spec.template.spec.nodeName: Forbidden: it binds every pod to one node, past all node labels: remove it, and label the node instead`,
				`spec.template.spec.nodeSelector[app]: Invalid value: "other": policy "own-label" requires "example": remove the key or set it to "example"`,
			},
		},
		"required node affinity without a term": {
			edit: func(ds *appsv1.DaemonSet) {
				ds.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Exists"}}
				withAffinity(t, ds, `[]`)
			},
			want: []string{`spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: without a term it matches no node: add a term, or remove requiredDuringSchedulingIgnoredDuringExecution`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			test.edit(ds)
			outcome := decide(compile(t, policy(t, "own-label", ownLabel)), write{DaemonSet: ds}).Outcome
			got := answerOf(outcome)
			for i := range min(len(got.Denied), len(test.want)) {
				// The tail of a syntax error is apimachinery's, regular expression and all.
				if strings.HasPrefix(got.Denied[i], test.want[i]) && strings.HasSuffix(test.want[i], "characters") {
					got.Denied[i] = test.want[i]
				}
			}
			if diff := cmp.Diff(answer{Denied: test.want}, got); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}
