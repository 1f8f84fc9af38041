package placement

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apilabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Nodes is the cluster's nodes at one moment.
type Nodes interface {
	// Survey says where the pods of a template run, and where those of an earlier
	// one (nil: there was none) ran.
	Survey(before, after *Template) Survey
}

// Survey is what a change of a pod template means on the cluster's nodes.
// Eligible is meant as the DaemonSet controller means it: by nodeName, labels
// and taints, with the tolerations that it adds to every daemon pod. Cordoned
// nodes are eligible.
type Survey struct {
	// Total is all nodes.
	Total int
	// Eligible is the nodes on which the pods run.
	Eligible int
	// Blocked is the nodes that have the labels, and a taint that is not tolerated.
	Blocked int
	// Taint is the taint that most of them have.
	Taint TaintCount
	// Before is the nodes on which the earlier template's pods ran.
	Before int
	// Lost is those of them on which the pods are deleted at once: no longer
	// selected, or evicted by a taint. Where a NoSchedule taint is no longer
	// tolerated, they stay until they are replaced.
	Lost int
	// Missing is a label of the nodeSelector that no node has, as key=value, and
	// Closest the most similar label that nodes do have, with their number.
	// Both are set only where no node has the labels.
	Missing string
	Closest LabelCount
	// NeverTogether is the keys of those labels of the nodeSelector, sorted, that no
	// node has together although each of them is on some node: two of them where two
	// exclude each other.
	NeverTogether []string
	// Split is a node pool of which only some nodes have the labels of the
	// nodeSelector that people set. The zero value means there is none.
	Split PoolShare
}

// LabelCount is a node label and the number of nodes that have it.
type LabelCount struct {
	Key, Value string
	Nodes      int
}

// PoolShare says how many of a node pool's nodes have some labels.
type PoolShare struct {
	Pool            string
	Selected, Total int
}

// NodeList is Nodes as a plain list. It asks component-helpers' nodeaffinity,
// which the scheduler and the DaemonSet controller use, about every node.
type NodeList []*corev1.Node

// Survey implements Nodes.
func (l NodeList) Survey(before, after *Template) Survey {
	survey := Survey{Total: len(l)}
	now := newPredicate(after)
	var earlier *predicate
	if before != nil {
		earlier = newPredicate(before)
	}
	blocking := Blocking{}
	for _, node := range l {
		untolerated := now.untolerated(node.Spec.Taints)
		switch selected := now.selects(node); {
		case selected && len(untolerated) == 0:
			survey.Eligible++
		case selected:
			survey.Blocked++
			blocking.Add(untolerated, 1)
		}
		if earlier != nil && earlier.selects(node) && len(earlier.untolerated(node.Spec.Taints)) == 0 {
			survey.Before++
			if !now.selects(node) || now.tolerations.AreEvicted(node.Spec.Taints) {
				survey.Lost++
			}
		}
	}
	survey.Taint = blocking.Most()
	if survey.Eligible > 0 {
		survey.Split = l.splitPool(SetByPeople(after.NodeSelector))
	}
	if survey.Eligible+survey.Blocked == 0 {
		survey.Missing, survey.Closest = FindClosest(after.NodeSelector, l.labelCounts(), func(nodes int) int { return nodes })
		if survey.Missing == "" {
			survey.NeverTogether = l.neverTogether(after.NodeSelector)
		}
	}
	return survey
}

// neverTogether returns the keys of labels that no node has together; nil where
// some node has them all.
func (l NodeList) neverTogether(nodeSelector map[string]string) []string {
	keys := slices.Sorted(maps.Keys(nodeSelector))
	apart := func(keys ...string) bool {
		return !slices.ContainsFunc(l, func(node *corev1.Node) bool {
			return !slices.ContainsFunc(keys, func(key string) bool {
				value, labelled := node.Labels[key]
				return !labelled || value != nodeSelector[key]
			})
		})
	}
	for i := range keys {
		if !apart(keys[:i+1]...) {
			continue
		}
		for _, earlier := range keys[:i] {
			if apart(earlier, keys[i]) {
				return []string{earlier, keys[i]}
			}
		}
		return keys[:i+1]
	}
	return nil
}

// labelCounts returns the number of nodes by label key and value.
func (l NodeList) labelCounts() map[string]map[string]int {
	counts := map[string]map[string]int{}
	for _, node := range l {
		for key, value := range node.Labels {
			if counts[key] == nil {
				counts[key] = map[string]int{}
			}
			counts[key][value]++
		}
	}
	return counts
}

// splitPool returns the first pool, by name, of which some nodes have the labels
// and some have not.
func (l NodeList) splitPool(labels map[string]string) PoolShare {
	pools := map[string]PoolShare{}
	for _, node := range l {
		for _, key := range poolLabels {
			value, inPool := node.Labels[key]
			if !inPool {
				continue
			}
			share := pools[key+"="+value]
			share.Total++
			if apilabels.SelectorFromSet(labels).Matches(apilabels.Set(node.Labels)) {
				share.Selected++
			}
			pools[key+"="+value] = share
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		if share := pools[name]; share.Selected > 0 && share.Selected < share.Total {
			share.Pool = name
			return share
		}
	}
	return PoolShare{}
}

// predicate is the DaemonSet controller's own
// (k8s.io/kubernetes pkg/controller/daemon NodeShouldRunDaemonPod).
type predicate struct {
	template    *Template
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations PodTolerations
}

func newPredicate(t *Template) *predicate {
	return &predicate{t, nodeaffinity.NewRequiredNodeAffinity(t.NodeSelector, t.Affinity.object()), NewPodTolerations(t)}
}

func (p *predicate) selects(node *corev1.Node) bool {
	if p.template.NodeName != "" && p.template.NodeName != node.Name {
		return false
	}
	// Like the controller, take an expression that does not parse for no match.
	matches, _ := p.affinity.Match(node)
	return matches
}

func (p *predicate) untolerated(taints []corev1.Taint) []corev1.Taint {
	return p.tolerations.Untolerated(taints)
}
