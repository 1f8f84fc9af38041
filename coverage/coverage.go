// Package coverage says on which nodes a DaemonSet's pods run, and why not on the others. It asks about each node what the
// DaemonSet controller asks (k8s.io/kubernetes pkg/controller/daemon NodeShouldRunDaemonPod).
//
//	coverage.go    where the pods of a template would run
//	why.go         what keeps them off a node
//	requests.go    what pods request, and what a pool is
//	poddefaults.go  what the API server adds to their requests
//	move.go        what a change of nodes or of a template does to pods
//	would.go       the state of each node, where nothing is known of pods
//	live.go        the state of each node, with the pods that are there
//	pod.go         what a pod says of itself
//	scheduler.go   what the scheduler says of a pod that has no place
package coverage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

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

// DigestOf names all of a template that decides on nodes: two of one digest run on the same.
func DigestOf(pod *corev1.PodTemplateSpec) string {
	template := placement.TemplateOf(nil, &pod.Spec)
	return fmt.Sprint(template.Digest(), template.NodeName, template.HostNetwork)
}

// Of returns where the pods of a template run.
func Of(pod *corev1.PodTemplateSpec, nodes []*corev1.Node) Coverage {
	p := newPredicate(pod)
	coverage := Coverage{Total: len(nodes), Runs: []string{}}
	excluded := map[string][]string{}
	for _, node := range nodes {
		switch reason := p.why(node).String(); reason {
		case "":
			coverage.Runs = append(coverage.Runs, node.Name)
		default:
			excluded[reason] = append(excluded[reason], node.Name)
		}
	}
	slices.Sort(coverage.Runs)
	coverage.Excluded = groups(excluded)
	return coverage
}

// groups sorts nodes by reason, those with the most nodes first.
func groups(byReason map[string][]string) (all []Group) {
	for reason, names := range byReason {
		slices.Sort(names)
		all = append(all, Group{reason, names})
	}
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(cmp.Compare(len(b.Nodes), len(a.Nodes)), strings.Compare(a.Reason, b.Reason))
	})
	return all
}
