package doctor

import (
	"context"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// introduction is the warning by which a webhook of berth says who it is.
var introduction = regexp.MustCompile(`^berth (\S+) answers, webhook (mutate|validate)$`)

// webhooks asks the API server, by a dry run, what berth says of a DaemonSet: both tiers.
func webhooks(ctx context.Context, c *Cluster) []Finding {
	hooks, err := c.hooks()
	if err != nil {
		return []Finding{unread("webhook configurations", err)}
	}
	var found []Finding
	if ordinary := named(hooks, mutating); len(ordinary) > 0 {
		namespace, err := c.covered(&ordinary[0])
		if err != nil {
			return []Finding{{Outcome: Unknown, Message: err.Error()}}
		}
		found = append(found, c.reach(ctx, namespace, ""))
		if system := named(hooks, systemMutating); len(system) > 0 {
			found = append(found, c.reach(ctx, namespace, criticalClass))
		}
	}
	return found
}

// reach says whether both webhooks answer for a DaemonSet of a priority class.
func (c *Cluster) reach(ctx context.Context, namespace, class string) Finding {
	what := "a DaemonSet in namespace " + namespace
	if class != "" {
		what += " of priority class " + class
	}
	answered, err := c.askAboutDaemonSet(ctx, namespace, class)
	const advice = "look at the Service of berth and its endpoints, at NetworkPolicies and firewalls between the API server and " +
		"the pods (hostNetwork: true goes around them), and at berth's log"
	switch {
	case err != nil && strings.Contains(err.Error(), "failed calling webhook") && strings.Contains(err.Error(), "berth.dev"):
		return bad("docs/outage.md", advice, "the API server cannot call berth about %s: %v", what, err)
	case apierrors.IsForbidden(err) && len(answered) == 0:
		return unread("what becomes of "+what+" (a dry run: create daemonsets)", err)
	case len(answered) == 2:
		return good("berth answers about %s", what)
	case len(answered) == 1 && err != nil:
		return good("berth answers about %s, and it is denied: %v", what, err)
	case err != nil:
		return Finding{Outcome: Unknown, Message: "somebody else refused " + what + ": " + err.Error(), Advice: "name another namespace with --probe-namespace"}
	case len(answered) == 1:
		return bad("docs/outage.md", advice, "one of berth's two webhooks does not answer about %s: all that is heard is %q", what, answered[0])
	}
	return bad("docs/outage.md", advice, "the API server stores %s without a word from berth", what)
}
