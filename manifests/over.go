package manifests

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
)

// Over returns the facts with what s has in place of those of the same name, as if it were applied to them; DaemonSets and
// problems are those of both.
func (s *Set) Over(facts *Set) *Set {
	return &Set{
		Policies:       over(s.Policies, facts.Policies, func(p Policy) string { return p.Object.Name }),
		Namespaces:     over(s.Namespaces, facts.Namespaces, func(n corev1.Namespace) string { return n.Name }),
		Nodes:          over(s.Nodes, facts.Nodes, func(n *corev1.Node) string { return n.Name }),
		LimitRanges:    over(s.LimitRanges, facts.LimitRanges, func(l corev1.LimitRange) string { return l.Namespace + "/" + l.Name }),
		RuntimeClasses: over(s.RuntimeClasses, facts.RuntimeClasses, func(c nodev1.RuntimeClass) string { return c.Name }),
		DaemonSets:     slices.Concat(s.DaemonSets, facts.DaemonSets),
		Problems:       slices.Concat(s.Problems, facts.Problems),
		Others:         s.Others + facts.Others,
	}
}

func over[T any](list, facts []T, name func(T) string) []T {
	all, named := slices.Clone(list), map[string]bool{}
	for _, object := range list {
		named[name(object)] = true
	}
	for _, object := range facts {
		if !named[name(object)] {
			all = append(all, object)
		}
	}
	return all
}
