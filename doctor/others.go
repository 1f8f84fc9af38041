package doctor

import (
	"context"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// others looks at who else changes DaemonSets, and when.
func others(ctx context.Context, c *Cluster) []Finding {
	hooks, err := c.hooks()
	if err != nil {
		return []Finding{unread("webhook configurations", err)}
	}
	var before, after []string
	called := false
	for i := range hooks {
		w := &hooks[i]
		switch {
		case w.name == mutating:
			called = true
		case !w.mutates || w.isBerths() || !slices.ContainsFunc(w.rules, isForDaemonSets):
		case called:
			after = append(after, w.name)
		default:
			before = append(before, w.name)
		}
	}
	var found []Finding
	for _, ordinary := range named(hooks, mutating) {
		if len(after) > 0 && !ordinary.reinvoked {
			found = append(found, bad("docs/security.md", "set its reinvocationPolicy to IfNeeded, or install the chart again: helm upgrade",
				"%s is not called again after %s, which may take away what it writes: then the write is denied", mutating, list(after)))
		} else if len(after) > 0 {
			found = append(found, note("called after berth about DaemonSets: %s; where they change one, berth is called again", list(after)))
		}
	}
	if len(before) > 0 {
		found = append(found, note("called before berth about DaemonSets: %s; what they add counts as the author's", list(before)))
	}
	found = append(found, c.mutatingPolicies(ctx)...)
	if len(found) == 0 {
		found = []Finding{good("nothing else changes DaemonSets at admission")}
	}
	return found
}

func isForDaemonSets(rule admissionregistrationv1.RuleWithOperations) bool {
	has := func(list []string, one string) bool { return slices.Contains(list, one) || slices.Contains(list, "*") }
	writes := slices.ContainsFunc(rule.Operations, func(o admissionregistrationv1.OperationType) bool {
		return o == admissionregistrationv1.Create || o == admissionregistrationv1.Update || o == admissionregistrationv1.OperationAll
	})
	return writes && has(rule.APIGroups, "apps") && (has(rule.Resources, "daemonsets") || has(rule.Resources, "*/*"))
}

// mutatingPolicies names MutatingAdmissionPolicies for DaemonSets, where the API server knows the kind.
func (c *Cluster) mutatingPolicies(ctx context.Context) []Finding {
	for _, served := range []string{"v1", "v1beta1", "v1alpha1"} {
		resource := schema.GroupVersionResource{Group: admissionregistrationv1.GroupName, Version: served, Resource: "mutatingadmissionpolicies"}
		policies, err := c.dynamic.Resource(resource).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return []Finding{unread("MutatingAdmissionPolicies", err)}
		}
		var names []string
		for i := range policies.Items {
			rules, _, _ := unstructured.NestedSlice(policies.Items[i].Object, "spec", "matchConstraints", "resourceRules")
			if slices.ContainsFunc(rules, namesDaemonSets) {
				names = append(names, policies.Items[i].GetName())
			}
		}
		if len(names) > 0 {
			return []Finding{note("MutatingAdmissionPolicies for DaemonSets: %s; they come before webhooks, and what they add counts as the author's", list(names))}
		}
		return nil
	}
	return nil
}

func namesDaemonSets(rule any) bool {
	fields, _ := rule.(map[string]any)
	groups, _, _ := unstructured.NestedStringSlice(fields, "apiGroups")
	resources, _, _ := unstructured.NestedStringSlice(fields, "resources")
	operations, _, _ := unstructured.NestedStringSlice(fields, "operations")
	typed := admissionregistrationv1.RuleWithOperations{Rule: admissionregistrationv1.Rule{APIGroups: groups, Resources: resources}}
	for _, operation := range operations {
		typed.Operations = append(typed.Operations, admissionregistrationv1.OperationType(operation))
	}
	return isForDaemonSets(typed)
}
