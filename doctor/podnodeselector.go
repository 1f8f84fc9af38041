package doctor

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/api/v1alpha1"
)

// podNodeSelector looks for the admission plugin of that name, which changes a DaemonSet's pods when their nodes have
// been chosen already (kubernetes#51788).
func podNodeSelector(ctx context.Context, c *Cluster) []Finding {
	namespaces, err := c.namespaces()
	if err != nil {
		return []Finding{unread("Namespaces", err)}
	}
	namespace := corev1.NamespaceDefault
	for i := range namespaces {
		if namespaces[i].Annotations[v1alpha1.DefaultNamespaceAnnotation] != "" && namespaces[i].DeletionTimestamp == nil {
			namespace = namespaces[i].Name
			break
		}
	}
	pod, err := c.askAboutPod(ctx, namespace, "")
	switch {
	case err != nil:
		return []Finding{unread("what becomes of a Pod in namespace "+namespace+" (a dry run: create pods)", err)}
	case len(pod.Spec.NodeSelector) > 0:
		return []Finding{bad("docs/sources.md", "turn the plugin off, and let a policy of the source NamespaceAnnotation read the same annotation",
			"something writes nodeSelector %s into pods of namespace %s, PodNodeSelector probably: pods of DaemonSets stay Pending on other nodes",
			fmt.Sprint(pod.Spec.NodeSelector), namespace)}
	}
	return []Finding{good("nothing writes a nodeSelector into pods of namespace %s", namespace)}
}
