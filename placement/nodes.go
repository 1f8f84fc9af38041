package placement

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
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
	// Taint is the taint that blocks most of them, as key=value:Effect.
	Taint string
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
	// Split is a node pool of which only some nodes are eligible, for a label
	// that does not come with the pool. The zero value means there is none.
	Split PoolShare
}

// LabelCount is a node label and the number of nodes that have it.
type LabelCount struct {
	Key, Value string
	Nodes      int
}

// PoolShare says how many of a node pool's nodes are eligible.
type PoolShare struct {
	Pool            string
	Eligible, Total int
}

// poolLabels are the labels by which the usual providers and autoscalers name a
// node pool, that is: a set of nodes which are made alike.
var poolLabels = []string{
	"karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup", "cloud.google.com/gke-nodepool",
	"kubernetes.azure.com/agentpool", "node.cluster.x-k8s.io/machine-pool",
}

// PoolLabels returns the labels that name a node pool.
func PoolLabels() []string { return slices.Clone(poolLabels) }

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
	pools := map[string]PoolShare{}
	blocking := map[string]int{}
	for _, node := range l {
		taint, eligible := now.untolerated(node.Spec.Taints), false
		switch selected := now.selects(node); {
		case selected && taint == "":
			eligible = true
			survey.Eligible++
		case selected:
			survey.Blocked++
			blocking[taint]++
		}
		if earlier != nil && earlier.selects(node) && earlier.untolerated(node.Spec.Taints) == "" {
			survey.Before++
			if !now.selects(node) || Evicted(node.Spec.Taints, after) {
				survey.Lost++
			}
		}
		countPool(pools, node.Labels, eligible)
	}
	survey.Taint = MostFrequent(blocking)
	survey.Split = splitPool(pools)
	if survey.Eligible+survey.Blocked == 0 {
		survey.Missing, survey.Closest = FindClosest(after.NodeSelector, l.labelCounts(), func(nodes int) int { return nodes })
	}
	return survey
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

func countPool(pools map[string]PoolShare, labels map[string]string, eligible bool) {
	for _, key := range poolLabels {
		value, ok := labels[key]
		if !ok {
			continue
		}
		share := pools[key+"="+value]
		share.Total++
		if eligible {
			share.Eligible++
		}
		pools[key+"="+value] = share
	}
}

// splitPool returns the first pool, by name, that is split.
func splitPool(pools map[string]PoolShare) PoolShare {
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		if share := pools[name]; share.Eligible > 0 && share.Eligible < share.Total {
			share.Pool = name
			return share
		}
	}
	return PoolShare{}
}

// MostFrequent returns the key with the highest count, the first by name of equals.
func MostFrequent(counts map[string]int) string {
	best := ""
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if best == "" || counts[key] > counts[best] {
			best = key
		}
	}
	return best
}

// predicate is the DaemonSet controller's own
// (k8s.io/kubernetes pkg/controller/daemon NodeShouldRunDaemonPod).
type predicate struct {
	template *Template
	affinity nodeaffinity.RequiredNodeAffinity
}

func newPredicate(t *Template) *predicate {
	return &predicate{t, nodeaffinity.NewRequiredNodeAffinity(t.NodeSelector, t.Affinity.object())}
}

func (p *predicate) selects(node *corev1.Node) bool {
	if p.template.NodeName != "" && p.template.NodeName != node.Name {
		return false
	}
	// Like the controller, take an expression that does not parse for no match.
	matches, _ := p.affinity.Match(node)
	return matches
}

func (p *predicate) untolerated(taints []corev1.Taint) string {
	return Untolerated(taints, p.template)
}
