package doctor

import (
	"context"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// everybody is the groups that nobody chooses to be in.
var everybody = []string{"system:authenticated", "system:unauthenticated", "system:serviceaccounts"}

// rights looks at who may switch berth off, or write policies.
func rights(ctx context.Context, c *Cluster) []Finding {
	roles, err := c.client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return []Finding{unread("ClusterRoles", err)}
	}
	bindings, err := c.client.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return []Finding{unread("ClusterRoleBindings", err)}
	}
	may := map[string][]string{}
	for i := range roles.Items {
		if what := mayChange(roles.Items[i].Rules); len(what) > 0 {
			may[roles.Items[i].Name] = what
		}
	}
	var found []Finding
	subjects := map[string]bool{}
	for i := range bindings.Items {
		binding := &bindings.Items[i]
		what := may[binding.RoleRef.Name]
		if len(what) == 0 {
			continue
		}
		for _, subject := range binding.Subjects {
			if subject.Kind == rbacv1.GroupKind && slices.Contains(everybody, subject.Name) {
				found = append(found, bad("docs/security.md", "delete the ClusterRoleBinding, or bind fewer",
					"ClusterRoleBinding %s lets all of %s write %s", binding.Name, subject.Name, strings.Join(what, " and ")))
			}
			subjects[nameOf(subject)] = true
		}
	}
	if len(found) > 0 {
		return found
	}
	return []Finding{note("who may write webhook configurations or policies, and so switch berth off: %s", list(slices.Sorted(maps.Keys(subjects))))}
}

func nameOf(s rbacv1.Subject) string {
	if s.Kind == rbacv1.ServiceAccountKind {
		return s.Kind + " " + s.Namespace + "/" + s.Name
	}
	return s.Kind + " " + s.Name
}

// mayChange says what of berth's rules let somebody write. Rules for objects by name are left out: those are berth's own.
func mayChange(rules []rbacv1.PolicyRule) []string {
	var what []string
	for group, resources := range map[string][]string{
		"admissionregistration.k8s.io": {"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}, "berth.dev": {"placementpolicies"},
	} {
		for _, resource := range resources {
			if slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return len(r.ResourceNames) == 0 && writes(&r, group, resource) }) {
				what = append(what, resource)
			}
		}
	}
	slices.Sort(what)
	return what
}

func writes(r *rbacv1.PolicyRule, group, resource string) bool {
	has := func(list []string, one string) bool {
		return slices.Contains(list, one) || slices.Contains(list, rbacv1.ResourceAll)
	}
	return has(r.APIGroups, group) && has(r.Resources, resource) &&
		slices.ContainsFunc([]string{"create", "update", "patch", "delete", "deletecollection"}, func(verb string) bool { return has(r.Verbs, verb) })
}
