package coverage

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// WouldRun is the state of a node where nothing is known of pods, and one would run. Live has no such state.
const WouldRun State = "WouldRun"

// Would returns the state of each node, by name, where nothing is known of pods: WouldRun, Tainted or Excluded.
func Would(pod *corev1.PodTemplateSpec, nodes []*corev1.Node) []Node {
	p := newPredicate(pod)
	all := make([]Node, 0, len(nodes))
	for _, node := range nodes {
		n := Node{Name: node.Name, State: WouldRun}
		why := p.why(node)
		if n.Reason = why.String(); n.Reason != "" {
			n.State, n.Why = Excluded, &why
			if why.Selected() {
				n.State = Tainted
			}
		}
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return all
}
