package placement

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Nodes is the cluster's nodes at one moment.
type Nodes interface {
	// Count returns how many nodes the pod's nodeSelector and required node
	// affinity select together, and how many nodes there are.
	Count(pod *corev1.PodSpec) (matching, total int)
}

// NodeList is Nodes as a plain list. It asks component-helpers' nodeaffinity,
// which the scheduler and the DaemonSet controller use, about every node.
type NodeList []*corev1.Node

// Count implements Nodes.
func (l NodeList) Count(pod *corev1.PodSpec) (matching, total int) {
	required := nodeaffinity.NewRequiredNodeAffinity(pod.NodeSelector, pod.Affinity)
	for _, node := range l {
		// An expression that does not parse matches no node, and is reported as an error.
		if ok, err := required.Match(node); ok && err == nil {
			matching++
		}
	}
	return matching, len(l)
}
