package cluster

import (
	"iter"
	"maps"
	"slices"

	"berth.dev/berth/placement"
)

// Places is a set of a snapshot's nodes. Its zero value is empty.
type Places struct{ nodes bitmap }

// Places returns the nodes that are eligible for the pods of a template, as
// Survey counts them.
func (s *Snapshot) Places(template *placement.Template) Places {
	return Places{s.nodes.eligible(template, new(numbersByKey))}
}

// Len is the number of nodes.
func (p Places) Len() int { return p.nodes.count() }

// Add adds the nodes of another set, of a snapshot with the same nodes.
func (p *Places) Add(other Places) {
	if p.nodes == nil {
		p.nodes = slices.Clone(other.nodes)
		return
	}
	p.nodes.add(other.nodes)
}

// Namespaces returns the names of all namespaces, in no order.
func (s *Snapshot) Namespaces() iter.Seq[string] { return maps.Keys(s.namespaces) }
