package cluster

import (
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// Question is what is asked of a snapshot about one DaemonSet, which is written
// or exists: one evaluation for webhooks, audit and command line.
type Question struct {
	placement.Question
	// Policies are those for the DaemonSet's namespace.
	Policies placement.InNamespace
	// Met answers whether matchConditions are met, by the new object or by the stored
	// one in its place. It is asked only about those of policies that select the
	// DaemonSet.
	Met func(*conditions.Program, placement.Which) (bool, error)
}

// Select returns the policies that have anything to say of the DaemonSet.
func (s *Snapshot) Select(q *Question) placement.Applicable {
	if !q.Policies.Conditional() {
		return q.Policies.Select(q.New, q.Old, nil)
	}
	return q.Policies.Select(q.New, q.Old, func(policy string, by placement.Which) (bool, error) {
		return q.Met(s.Conditions(policy), by)
	})
}

// Evaluate decides on the DaemonSet, on the snapshot's nodes unless the question
// has others.
func (s *Snapshot) Evaluate(q *Question) placement.Decision {
	s.addNodes(q)
	return s.Select(q).Decide(&q.Question)
}

// Verdicts says of each policy that selects the DaemonSet what it wants of it.
func (s *Snapshot) Verdicts(q *Question) []placement.Verdict {
	s.addNodes(q)
	return s.Select(q).Verdicts(&q.Question)
}

// addNodes gives the question the snapshot's nodes, where these are known.
func (s *Snapshot) addNodes(q *Question) {
	if q.Nodes == nil && s.nodes != nil {
		q.Nodes = &surveyor{index: s.nodes}
	}
}
