package doctor

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// clockSkew is how far apart the clocks of this machine and of the cluster may be.
const clockSkew = 30 * time.Second

// replicas looks at how many there are, and where they run.
func replicas(ctx context.Context, c *Cluster) []Finding {
	leases, err := c.client.CoordinationV1().Leases(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "berth.dev/replica"})
	if err != nil {
		return []Finding{unread("Leases of namespace "+c.Namespace, err)}
	}
	var alive []string
	for i := range leases.Items {
		spec := &leases.Items[i].Spec
		if spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
			continue
		}
		if end := spec.RenewTime.Add(time.Duration(*spec.LeaseDurationSeconds) * time.Second); c.now().Before(end.Add(clockSkew)) {
			alive = append(alive, leases.Items[i].Name)
		}
	}
	const advice = "see kubectl get pods -n NAMESPACE and their logs; another namespace is named with --berth-namespace"
	switch len(alive) {
	case 0:
		return []Finding{bad("docs/outage.md", advice, "no replica of berth in namespace %s is alive", c.Namespace)}
	case 1:
		return append([]Finding{note("one replica is alive (%s): while it is replaced, writes wait", alive[0])}, c.spread(ctx, alive)...)
	}
	return append([]Finding{good("%d replicas are alive: %s", len(alive), list(alive))}, c.spread(ctx, alive)...)
}

// spread looks at the nodes of the replicas, which have the names of their Pods.
func (c *Cluster) spread(ctx context.Context, alive []string) []Finding {
	pods, err := c.client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return []Finding{unread("Pods of namespace "+c.Namespace, err)}
	}
	nodes, n := map[string]bool{}, 0
	for i := range pods.Items {
		for _, name := range alive {
			if pods.Items[i].Name == name {
				nodes[pods.Items[i].Spec.NodeName] = true
				n++
			}
		}
	}
	if n > 1 && len(nodes) == 1 {
		return []Finding{bad("docs/outage.md", "add nodes that they may run on, and delete one of the pods",
			"all %d replicas run on one node: with it berth is gone", n)}
	}
	return nil
}
