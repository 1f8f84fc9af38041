package doctor

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// scope looks at what the webhooks leave out, and who can write himself out of it.
func scope(ctx context.Context, c *Cluster) []Finding {
	hooks, err := c.hooks()
	if err != nil {
		return []Finding{unread("webhook configurations", err)}
	}
	ordinary := named(hooks, mutating)
	if len(ordinary) == 0 {
		return nil
	}
	if len(named(hooks, systemMutating)) > 0 {
		return []Finding{good("what the ordinary tier leaves out is the system tier's")}
	}
	namespace, err := c.covered(&ordinary[0])
	if err != nil {
		return []Finding{{Outcome: Unknown, Message: err.Error()}}
	}
	answered, err := c.askAboutDaemonSet(ctx, namespace, criticalClass)
	switch {
	case len(answered) > 0:
		return []Finding{good("berth sees DaemonSets of the critical priority classes too")}
	case err != nil:
		return []Finding{unread("what becomes of a DaemonSet of priority class "+criticalClass, err)}
	}
	_, err = c.askAboutPod(ctx, namespace, criticalClass)
	switch {
	case apierrors.IsForbidden(err):
		return []Finding{good("pods of priority class %s are refused in namespace %s, so nobody evades policies by it: %v", criticalClass, namespace, err)}
	case err != nil:
		return []Finding{unread("what becomes of a Pod of priority class "+criticalClass, err)}
	}
	return []Finding{bad("docs/doctor.md", "turn the system tier on (webhook.system.enabled), or let a ResourceQuota limit these classes",
		"who writes DaemonSets in namespace %s evades every policy by priorityClassName: %s", namespace, criticalClass)}
}
