package doctor

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/placement"
)

const (
	// watched is for how long DaemonSets are watched for somebody who fights over them.
	watched = 3 * time.Second
	// fought is how often one changes in that time when nobody does that by hand.
	fought = 2
)

// daemonSets looks for those whose receipt no longer fits, and for those that two programs write in turn.
func daemonSets(ctx context.Context, c *Cluster) []Finding {
	read, err := c.client.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return []Finding{unread("DaemonSets", err)}
	}
	var stale []string
	generations := map[string]int64{}
	for i := range read.Items {
		ds := &read.Items[i]
		name := ds.Namespace + "/" + ds.Name
		generations[name] = ds.Generation
		if placement.ReceiptIsStale(placement.ObjectOf(ds)) {
			stale = append(stale, name)
		}
	}
	var found []Finding
	if len(stale) > 0 {
		found = append(found, bad("docs/updates.md", "any change of the pod template mends it: kubectl rollout restart",
			"berth's annotation claims what is not there, so they were written while berth was away: %s", list(stale)))
	}
	if len(generations) > 0 {
		found = append(found, c.fights(ctx, generations)...)
	}
	if len(found) == 0 {
		found = append(found, good("%d DaemonSets: none that somebody fights over, and none that was written while berth was away", len(read.Items)))
	}
	return found
}

// fights looks again, a little later.
func (c *Cluster) fights(ctx context.Context, before map[string]int64) []Finding {
	select {
	case <-ctx.Done():
	case <-time.After(watched):
	}
	read, err := c.client.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return []Finding{unread("DaemonSets", err)}
	}
	var names []string
	for i := range read.Items {
		ds := &read.Items[i]
		name := ds.Namespace + "/" + ds.Name
		if was, known := before[name]; known && ds.Generation-was >= fought {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{bad("docs/updates.md", "see with kubectl get ds NAME -o yaml --show-managed-fields who writes it: an operator probably, that wants it as it was",
		"changed all the time, %d times or more in %s: %s", fought, watched, list(names))}
}
