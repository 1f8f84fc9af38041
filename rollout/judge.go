// Package rollout is what acts on DaemonSets from outside the webhook: it waits until one runs everywhere it should.
//
//	judge.go    how far a DaemonSet is: a function
//	wait.go     asks again until all are there, or cannot be
package rollout

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth.dev/berth/coverage"
)

// Demands is what has to be so.
type Demands struct {
	// MinNodes is the least number of nodes that a DaemonSet should run on, or their least share of all nodes; nil: none.
	MinNodes *intstr.IntOrString
	// AllowZero lets a DaemonSet pass that should run on no node.
	AllowZero bool
}

// Outcome is how a wait ends for one DaemonSet.
type Outcome string

// The outcomes.
const (
	// Complete: pods of the current template are available on exactly the nodes that should have one.
	Complete Outcome = "Complete"
	// Waiting: it is not, and may become so.
	Waiting Outcome = "Waiting"
	// Failed: it does not become so by waiting.
	Failed Outcome = "Failed"
)

// Progress is how far a DaemonSet is.
type Progress struct {
	Namespace, Name string
	Outcome         Outcome
	// Reason is why it is no further; empty where it is complete.
	Reason string
	// Counts and Lacking are of the nodes that were looked at last: how many there are, and those that lack a pod of the current
	// template or have one too many. A DaemonSet that should run on too few nodes lacks all others.
	Counts  coverage.Counts
	Lacking []coverage.StateGroup
}

// Observe says how far the DaemonSet is as far as that can be told without its pods: whether the controller has seen it at all.
func Observe(ds *appsv1.DaemonSet) Progress {
	p := Progress{Namespace: ds.Namespace, Name: ds.Name, Outcome: Waiting}
	switch {
	case ds.DeletionTimestamp != nil:
		p.Outcome, p.Reason = Failed, "it is being deleted"
	case ds.Status.ObservedGeneration < ds.Generation:
		p.Reason = fmt.Sprintf("the DaemonSet controller has seen generation %d, and not yet %d", ds.Status.ObservedGeneration, ds.Generation)
	default:
		p.Reason = fmt.Sprintf("%d of %d pods are of the current template, %d are available",
			ds.Status.UpdatedNumberScheduled, ds.Status.DesiredNumberScheduled, ds.Status.NumberAvailable)
	}
	return p
}

// looksComplete says whether the controller's counters leave nothing to wait for, so that it is worth to look at the nodes.
func looksComplete(ds *appsv1.DaemonSet) bool {
	s := &ds.Status
	return s.ObservedGeneration >= ds.Generation && s.UpdatedNumberScheduled >= s.DesiredNumberScheduled && s.NumberAvailable >= s.DesiredNumberScheduled
}

// Judge says how far the DaemonSet is, of which each node is in one of these states.
func (d *Demands) Judge(ds *appsv1.DaemonSet, nodes []coverage.Node) Progress {
	p := Observe(ds)
	p.Counts = coverage.Count(nodes)
	if p.Outcome == Failed || ds.Status.ObservedGeneration < ds.Generation {
		return p
	}
	if reason := d.tooFew(p.Counts); reason != "" {
		p.Outcome, p.Reason = Failed, reason
		p.Lacking = groupsOf(nodes, func(n *coverage.Node) bool { return !n.State.ShouldRun() })
		return p
	}
	p.Lacking = groupsOf(nodes, func(n *coverage.Node) bool {
		return n.State == coverage.Leaving || n.State.ShouldRun() && (n.State != coverage.Running || n.Outdated)
	})
	p.Outcome, p.Reason = reasonOf(ds, p.Lacking)
	if s := &ds.Status; p.Outcome == Complete && s.UpdatedNumberScheduled < s.DesiredNumberScheduled {
		// It does not count a node anew whose taint comes or goes, so that only its own numbers compare.
		p.Outcome = Waiting
		p.Reason = fmt.Sprintf("the DaemonSet controller counts pods of the current template on %d of %d nodes", s.UpdatedNumberScheduled, s.DesiredNumberScheduled)
	}
	return p
}

// tooFew is why the nodes that it should run on are too few; empty where they are not.
func (d *Demands) tooFew(c coverage.Counts) string {
	least := 0
	if d.MinNodes != nil {
		least, _ = intstr.GetScaledValueFromIntOrPercent(d.MinNodes, c.Total, true) // ParseMinNodes has seen it
	}
	switch {
	case c.ShouldRun < least:
		return fmt.Sprintf("it should run on %d of %d nodes, and at least %d are demanded", c.ShouldRun, c.Total, least)
	case c.ShouldRun == 0 && !d.AllowZero:
		return fmt.Sprintf("it should run on none of %d nodes", c.Total)
	}
	return ""
}

// reasonOf is the outcome for a DaemonSet that these nodes lack.
func reasonOf(ds *appsv1.DaemonSet, lacking []coverage.StateGroup) (Outcome, string) {
	lack, outdated, leaving := 0, 0, 0
	for i := range lacking {
		switch n := len(lacking[i].Nodes); lacking[i].State {
		case coverage.Running:
			outdated += n
		case coverage.Leaving:
			leaving += n
		default:
			lack += n
		}
	}
	var parts []string
	if lack > 0 {
		parts = append(parts, "no available pod on "+nodeCount(lack))
	}
	if outdated > 0 {
		parts = append(parts, "a pod of an earlier template on "+nodeCount(outdated))
	}
	if leaving > 0 {
		parts = append(parts, "a pod too many on "+nodeCount(leaving))
	}
	switch reason := strings.Join(parts, ", "); {
	case reason == "":
		return Complete, ""
	case lack+leaving == 0 && ds.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType:
		return Failed, reason + ": updateStrategy OnDelete replaces a pod only when somebody deletes it"
	default:
		return Waiting, reason
	}
}

func nodeCount(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

func groupsOf(nodes []coverage.Node, of func(*coverage.Node) bool) []coverage.StateGroup {
	var some []coverage.Node
	for i := range nodes {
		if of(&nodes[i]) {
			some = append(some, nodes[i])
		}
	}
	return coverage.Grouped(some)
}

// ParseMinNodes reads N or P%.
func ParseMinNodes(text string) (*intstr.IntOrString, error) {
	value := intstr.Parse(text)
	n, err := intstr.GetScaledValueFromIntOrPercent(&value, 100, true)
	if err != nil || n < 0 || value.Type == intstr.String && n > 100 {
		return nil, fmt.Errorf("must be a number of nodes or a share of all nodes, such as 3 or 50%%")
	}
	return &value, nil
}
