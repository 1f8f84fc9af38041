package doctor

import (
	"context"
)

const installDocs = "docs/install.md"

// configurations looks at whether the API server is told to call berth at all, once, and with which failurePolicy.
func configurations(_ context.Context, c *Cluster) []Finding {
	hooks, err := c.hooks()
	if err != nil {
		return []Finding{unread("webhook configurations", err)}
	}
	var found []Finding
	for _, pair := range [][2]string{{mutating, validating}, {systemMutating, systemValidating}} {
		found = append(found, paired(named(hooks, pair[0]), named(hooks, pair[1]), pair)...)
	}
	if len(named(hooks, ofPolicies)) == 0 {
		found = append(found, bad(installDocs, "install the chart again: helm upgrade",
			"no webhook %s: policies that do not compile are refused only by their status", ofPolicies))
	}
	return found
}

// paired looks at the two webhooks of a tier.
func paired(mutates, validates []webhook, names [2]string) []Finding {
	isSystem := names[0] == systemMutating
	switch {
	case len(mutates)+len(validates) == 0 && isSystem:
		return []Finding{note("no system tier: berth does not see kube-system, kube-public, kube-node-lease and the critical priority classes")}
	case len(mutates)+len(validates) == 0:
		return []Finding{bad(installDocs, "install the chart", "no webhook %s: the API server does not call berth", mutating)}
	case len(mutates) == 0, len(validates) == 0:
		missing := names[0]
		if len(validates) == 0 {
			missing = names[1]
		}
		return []Finding{bad(installDocs, "install the chart again: helm upgrade", "no webhook %s, and the other of the two is there", missing)}
	case len(mutates) > 1, len(validates) > 1:
		return []Finding{bad(installDocs, "uninstall one of them: each DaemonSet is decided on twice",
			"two installations of berth: %s and %s", mutates[0].configuration, append(mutates, validates...)[1].configuration)}
	case isSystem && (mutates[0].fails() || validates[0].fails()):
		return []Finding{bad("docs/outage.md", "set it to Ignore, or install the chart again: helm upgrade",
			"failurePolicy of the system tier is Fail: with berth away, networks and storage do not come up")}
	case isSystem:
		return []Finding{good("the system tier is on, and never stops a write")}
	case mutates[0].fails() != validates[0].fails():
		return []Finding{bad("docs/outage.md", "run berth enforce, or helm upgrade, which does",
			"failurePolicy of %s is %s, and of %s %s", mutating, mutates[0].failurePolicy, validating, validates[0].failurePolicy)}
	case !mutates[0].fails():
		return []Finding{note("failurePolicy is Ignore: while berth does not answer, DaemonSets are stored without it")}
	}
	return []Finding{good("the API server calls berth for DaemonSets, and stores none in its scope without it")}
}
