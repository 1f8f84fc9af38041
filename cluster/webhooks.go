package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// Webhook is one webhook of berth's for DaemonSets, as it is registered with the API server.
type Webhook struct {
	// Kind is that of the configuration that it stands in, and Configuration the name.
	Kind, Configuration, Name string
	// Mutates says that it writes; the other kind only denies.
	Mutates bool

	rules                     []admissionregistrationv1.RuleWithOperations
	namespaceSelector, object *metav1.LabelSelector
	matchConditions           []admissionregistrationv1.MatchCondition
}

// berthsWebhooks are the names of berth's own for DaemonSets, whatever the configurations are named after.
var berthsWebhooks = []string{"mutate.berth.dev", "mutate.system.berth.dev", "validate.berth.dev", "validate.system.berth.dev"}

// MutatingWebhooks returns berth's among the webhooks that mutate.
func MutatingWebhooks(configurations []admissionregistrationv1.MutatingWebhookConfiguration) []Webhook {
	var own []Webhook
	for i := range configurations {
		for j := range configurations[i].Webhooks {
			w := &configurations[i].Webhooks[j]
			own = append(own, Webhook{
				Kind: "MutatingWebhookConfiguration", Configuration: configurations[i].Name, Name: w.Name, Mutates: true,
				rules: w.Rules, namespaceSelector: w.NamespaceSelector, object: w.ObjectSelector, matchConditions: w.MatchConditions,
			})
		}
	}
	return berths(own)
}

// ValidatingWebhooks returns berth's among the webhooks that validate.
func ValidatingWebhooks(configurations []admissionregistrationv1.ValidatingWebhookConfiguration) []Webhook {
	var own []Webhook
	for i := range configurations {
		for j := range configurations[i].Webhooks {
			w := &configurations[i].Webhooks[j]
			own = append(own, Webhook{
				Kind: "ValidatingWebhookConfiguration", Configuration: configurations[i].Name, Name: w.Name,
				rules: w.Rules, namespaceSelector: w.NamespaceSelector, object: w.ObjectSelector, matchConditions: w.MatchConditions,
			})
		}
	}
	return berths(own)
}

func berths(webhooks []Webhook) []Webhook {
	own := slices.DeleteFunc(webhooks, func(w Webhook) bool { return !slices.Contains(berthsWebhooks, w.Name) })
	slices.SortFunc(own, func(a, b Webhook) int { return cmp.Compare(a.Name, b.Name) })
	return own
}

// LeavesOut is why the API server does not ask the webhook about an update of a DaemonSet, whole, in this namespace; empty: it asks.
func (w *Webhook) LeavesOut(ctx context.Context, namespace placement.Namespace, object map[string]any) (string, error) {
	if !slices.ContainsFunc(w.rules, isForDaemonSets) {
		return "its rules are not for UPDATE of daemonsets", nil
	}
	why, err := unselected(w.namespaceSelector, namespace.Labels)
	if err != nil {
		return "", fmt.Errorf("namespaceSelector of %s: %w", w.Name, err)
	} else if why != "" {
		return fmt.Sprintf("its namespaceSelector (%s) does not select namespace %s", why, namespace.Name), nil
	}
	why, err = unselected(w.object, labelsOf(object))
	if err != nil {
		return "", fmt.Errorf("objectSelector of %s: %w", w.Name, err)
	} else if why != "" {
		return fmt.Sprintf("its objectSelector (%s) does not select the DaemonSet", why), nil
	}
	return w.unmet(ctx, namespace, object)
}

// unmet is the first of the matchConditions that is false, as what it leaves out.
func (w *Webhook) unmet(ctx context.Context, namespace placement.Namespace, object map[string]any) (string, error) {
	var cost conditions.Cost
	var failed error
	for _, condition := range w.matchConditions {
		program, errs := conditions.Compile([]v1alpha1.MatchCondition{{Name: condition.Name, Expression: condition.Expression}})
		err := error(errs.ToAggregate())
		met := false
		if err == nil {
			met, err = program.Matches(ctx, Unchanged(namespace, object), &cost)
		}
		switch {
		case err != nil:
			failed = cmp.Or(failed, fmt.Errorf("matchCondition %q of %s: %w", condition.Name, w.Name, err))
		case !met:
			return fmt.Sprintf("its matchCondition %q is not met", condition.Name), nil
		}
	}
	return "", failed
}

// Unchanged is what matchConditions see of an update that changes nothing, by a user without a name: what there is to ask of a DaemonSet
// that exists.
func Unchanged(namespace placement.Namespace, object map[string]any) conditions.Variables {
	kind := map[string]any{"group": "apps", "version": "v1", "kind": "DaemonSet"}
	resource := map[string]any{"group": "apps", "version": "v1", "resource": "daemonsets"}
	metadata, _ := object["metadata"].(map[string]any)
	return conditions.Variables{
		Request: map[string]any{
			"operation": "UPDATE", "namespace": namespace.Name, "name": metadata["name"],
			"kind": kind, "requestKind": kind, "resource": resource, "requestResource": resource,
			"userInfo": map[string]any{"username": "", "groups": []any{}},
			"dryRun":   false,
		},
		Object: object, OldObject: object,
		Namespace: NamespaceObject(namespace),
	}
}

func isForDaemonSets(rule admissionregistrationv1.RuleWithOperations) bool {
	has := func(list []string, name string) bool {
		return slices.Contains(list, name) || slices.Contains(list, "*")
	}
	operates := slices.Contains(rule.Operations, admissionregistrationv1.Update) ||
		slices.Contains(rule.Operations, admissionregistrationv1.OperationAll)
	return operates && has(rule.APIGroups, "apps") && has(rule.APIVersions, "v1") &&
		(has(rule.Resources, "daemonsets") || slices.Contains(rule.Resources, "*/*"))
}

// unselected is the first requirement of a selector that the labels do not meet; empty: they meet all.
func unselected(selector *metav1.LabelSelector, have map[string]string) (string, error) {
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil || selector == nil || compiled.Matches(labels.Set(have)) {
		return "", err
	}
	for _, key := range slices.Sorted(maps.Keys(selector.MatchLabels)) {
		if value, labelled := have[key]; !labelled || value != selector.MatchLabels[key] {
			return key + "=" + selector.MatchLabels[key], nil
		}
	}
	for _, expression := range selector.MatchExpressions {
		one, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{expression}})
		if err != nil {
			return "", err
		}
		if !one.Matches(labels.Set(have)) {
			text := expression.Key + " " + string(expression.Operator)
			if len(expression.Values) > 0 {
				text += " [" + strings.Join(expression.Values, ", ") + "]"
			}
			return text, nil
		}
	}
	return compiled.String(), nil
}

func labelsOf(object map[string]any) map[string]string {
	metadata, _ := object["metadata"].(map[string]any)
	untyped, _ := metadata["labels"].(map[string]any)
	typed := map[string]string{}
	for key, value := range untyped {
		typed[key], _ = value.(string)
	}
	return typed
}
