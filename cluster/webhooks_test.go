package cluster_test

import (
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// mutating is berth's own webhook as the chart registers it, with an edit.
func mutating(edit func(*admissionregistrationv1.MutatingWebhook)) []admissionregistrationv1.MutatingWebhookConfiguration {
	webhook := admissionregistrationv1.MutatingWebhook{
		Name: "mutate.berth.dev",
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{"CREATE", "UPDATE"},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"daemonsets"}},
		}},
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system", "berth-system"}},
		}},
		MatchConditions: []admissionregistrationv1.MatchCondition{{
			Name: "not-critical", Expression: `object.?spec.?template.?spec.?priorityClassName.orValue("") != "critical"`,
		}},
	}
	edit(&webhook)
	stranger := admissionregistrationv1.MutatingWebhook{Name: "mutate.example.com"}
	return []admissionregistrationv1.MutatingWebhookConfiguration{{
		ObjectMeta: metav1.ObjectMeta{Name: "my-berth"}, Webhooks: []admissionregistrationv1.MutatingWebhook{stranger, webhook},
	}}
}

func TestAWebhookSaysBySelectorRuleOrConditionWhatItLeavesOut(t *testing.T) {
	object := func(priorityClass string) map[string]any {
		return map[string]any{
			"metadata": map[string]any{"name": "agent", "labels": map[string]any{"app": "agent"}},
			"spec":     map[string]any{"template": map[string]any{"spec": map[string]any{"priorityClassName": priorityClass}}},
		}
	}
	tests := map[string]struct {
		namespace, priorityClass string
		edit                     func(*admissionregistrationv1.MutatingWebhook)
		want                     string
	}{
		"nothing": {namespace: "team-a"},
		"the namespace": {
			namespace: "kube-system",
			want:      "its namespaceSelector (kubernetes.io/metadata.name NotIn [kube-system, berth-system]) does not select namespace kube-system",
		},
		"a label of the namespace": {
			namespace: "team-a", want: "its namespaceSelector (team=a) does not select namespace team-a",
			edit: func(w *admissionregistrationv1.MutatingWebhook) {
				w.NamespaceSelector.MatchLabels = map[string]string{"team": "a"}
			},
		},
		"a label of the object": {
			namespace: "team-a", want: "its objectSelector (app DoesNotExist) does not select the DaemonSet",
			edit: func(w *admissionregistrationv1.MutatingWebhook) {
				w.ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpDoesNotExist}}}
			},
		},
		"a condition": {namespace: "team-a", priorityClass: "critical", want: `its matchCondition "not-critical" is not met`},
		"a rule": {
			namespace: "team-a", want: "its rules are not for UPDATE of daemonsets",
			edit: func(w *admissionregistrationv1.MutatingWebhook) { w.Rules[0].Resources = []string{"deployments"} },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.edit == nil {
				test.edit = func(*admissionregistrationv1.MutatingWebhook) {}
			}
			webhooks := cluster.MutatingWebhooks(mutating(test.edit))
			if len(webhooks) != 1 || webhooks[0].Configuration != "my-berth" || !webhooks[0].Mutates {
				t.Fatalf("berth's webhooks are %+v", webhooks)
			}
			namespace := placement.Namespace{Name: test.namespace, Labels: map[string]string{"kubernetes.io/metadata.name": test.namespace}}
			got, err := webhooks[0].LeavesOut(t.Context(), namespace, object(test.priorityClass))
			if err != nil || got != test.want {
				t.Errorf("left out: %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestAConditionThatFailsIsNoAnswer(t *testing.T) {
	webhooks := cluster.MutatingWebhooks(mutating(func(w *admissionregistrationv1.MutatingWebhook) {
		w.MatchConditions[0].Expression = "object.nothing.there == 1"
	}))
	if why, err := webhooks[0].LeavesOut(t.Context(), placement.Namespace{Name: "n"}, map[string]any{}); err == nil || why != "" {
		t.Errorf("left out: %q, %v", why, err)
	}
}
