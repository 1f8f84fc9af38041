// Package coverage says on which nodes a DaemonSet's pods run, and why not on the others. It asks about each node what the
// DaemonSet controller asks (k8s.io/kubernetes pkg/controller/daemon NodeShouldRunDaemonPod).
package coverage

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"berth.dev/berth/placement"
)

// Coverage is the nodes of a cluster as one DaemonSet sees them.
type Coverage struct {
	Total int `json:"total"`
	// Runs is the nodes that the pods run on, sorted.
	Runs []string `json:"runs"`
	// Excluded is the others, by the reason, those with the most nodes first.
	Excluded []Group `json:"excluded,omitempty"`
}

// Group is the nodes that pods do not run on for one reason.
type Group struct {
	Reason string   `json:"reason"`
	Nodes  []string `json:"nodes"`
}

// Of returns where the pods of a template run.
func Of(pod *corev1.PodTemplateSpec, nodes []*corev1.Node) Coverage {
	template := placement.TemplateOf(pod.Labels, &pod.Spec)
	p := predicate{
		nodeName: pod.Spec.NodeName, nodeSelector: pod.Spec.NodeSelector, keys: slices.Sorted(maps.Keys(pod.Spec.NodeSelector)),
		affinity: nodeaffinity.NewRequiredNodeAffinity(nil, pod.Spec.Affinity), tolerations: placement.NewPodTolerations(&template),
	}
	coverage := Coverage{Total: len(nodes), Runs: []string{}}
	excluded := map[string][]string{}
	for _, node := range nodes {
		switch reason := p.whyNot(node); reason {
		case "":
			coverage.Runs = append(coverage.Runs, node.Name)
		default:
			excluded[reason] = append(excluded[reason], node.Name)
		}
	}
	slices.Sort(coverage.Runs)
	for reason, names := range excluded {
		slices.Sort(names)
		coverage.Excluded = append(coverage.Excluded, Group{reason, names})
	}
	slices.SortFunc(coverage.Excluded, func(a, b Group) int {
		return cmp.Or(cmp.Compare(len(b.Nodes), len(a.Nodes)), strings.Compare(a.Reason, b.Reason))
	})
	return coverage
}

// predicate is what a template asks of each node.
type predicate struct {
	nodeName     string
	nodeSelector map[string]string
	keys         []string // of nodeSelector, sorted
	affinity     nodeaffinity.RequiredNodeAffinity
	tolerations  placement.PodTolerations
}

// whyNot is what keeps the pods from the node; "" where nothing does.
func (p *predicate) whyNot(node *corev1.Node) string {
	if p.nodeName != "" && p.nodeName != node.Name {
		return "spec.nodeName is another one"
	}
	var missing []string
	for _, key := range p.keys {
		if value, labelled := node.Labels[key]; !labelled || value != p.nodeSelector[key] {
			missing = append(missing, key+"="+p.nodeSelector[key])
		}
	}
	if len(missing) > 0 {
		return "no label " + strings.Join(missing, ", ")
	}
	// As in the controller, an expression that does not parse is no match.
	if matches, _ := p.affinity.Match(node); !matches {
		return "the required node affinity does not match"
	}
	var taints []string
	for _, taint := range p.tolerations.Untolerated(node.Spec.Taints) {
		taints = append(taints, taint.ToString())
	}
	if len(taints) > 0 {
		return "taint " + strings.Join(taints, ", ") + " is not tolerated"
	}
	return ""
}
