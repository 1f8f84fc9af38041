package cluster

import (
	"errors"
	"maps"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// ErrTooManyReads is why a namespace that the snapshot does not have was not read
// from the API server: too many are asked for that nobody has heard of. It passes.
var ErrTooManyReads = errors.New("too many unknown namespaces are asked for at a time")

// Snapshot is what berth knows of the cluster at one moment. It is immutable.
type Snapshot struct {
	policies   placement.Policies
	namespaces map[string]knownNamespace
	nodes      *NodeIndex
	programs   map[string]*conditions.Program // by policy name; none for one without matchConditions
	versions   map[string]PolicyVersion
}

// PolicyVersion is one version of a policy's spec.
type PolicyVersion struct {
	UID        types.UID
	Generation int64
}

// knownNamespace has its policies beside it, so that a request does not pay for
// policies that are not for its namespace.
type knownNamespace struct {
	namespace placement.Namespace
	policies  placement.InNamespace
}

// NewSnapshot returns a snapshot of these facts.
func NewSnapshot(policies placement.Policies, namespaces []placement.Namespace, nodes *NodeIndex) *Snapshot {
	s := &Snapshot{policies: policies, namespaces: make(map[string]knownNamespace, len(namespaces)), nodes: nodes}
	for _, namespace := range namespaces {
		s.namespaces[namespace.Name] = knownNamespace{namespace, policies.InNamespace(namespace)}
	}
	return s
}

// Policies returns all policies that compile.
func (s *Snapshot) Policies() placement.Policies { return s.policies }

// PoliciesFor returns the policies for a namespace, and whether the namespace is
// known at all.
func (s *Snapshot) PoliciesFor(namespace string) (placement.InNamespace, bool) {
	known, ok := s.namespaces[namespace]
	return known.policies, ok
}

// Conditions returns the matchConditions of a policy that is in force. They are
// empty for one that has none.
func (s *Snapshot) Conditions(policy string) *conditions.Program {
	if program, ok := s.programs[policy]; ok {
		return program
	}
	return &conditions.Program{}
}

// Namespace returns a namespace, and whether it is known at all.
func (s *Snapshot) Namespace(name string) (placement.Namespace, bool) {
	known, ok := s.namespaces[name]
	return known.namespace, ok
}

// Nodes returns the nodes.
func (s *Snapshot) Nodes() *NodeIndex { return s.nodes }

// PolicyVersions returns of every policy, by name, the version that the snapshot
// goes by.
func (s *Snapshot) PolicyVersions() map[string]PolicyVersion { return s.versions }

// WithPolicyVersions is s with the versions of its policies.
func (s *Snapshot) WithPolicyVersions(versions map[string]PolicyVersion) *Snapshot {
	next := *s
	next.versions = versions
	return &next
}

// WithConditions is s with the matchConditions of its policies, by policy name.
func (s *Snapshot) WithConditions(programs map[string]*conditions.Program) *Snapshot {
	next := *s
	next.programs = programs
	return &next
}

// WithPolicies is s with other policies and their matchConditions, by policy name:
// every namespace's are looked up anew.
func (s *Snapshot) WithPolicies(policies placement.Policies, programs map[string]*conditions.Program) *Snapshot {
	next := &Snapshot{
		policies:   policies,
		namespaces: make(map[string]knownNamespace, len(s.namespaces)),
		nodes:      s.nodes,
		programs:   programs,
	}
	for name, known := range s.namespaces {
		next.namespaces[name] = knownNamespace{known.namespace, policies.InNamespace(known.namespace)}
	}
	return next
}

// NamespaceChange says what a namespace is now, or that it is gone.
type NamespaceChange struct {
	Namespace placement.Namespace
	Gone      bool
}

// WithNamespaces is s after changes to namespaces: only theirs are looked up.
func (s *Snapshot) WithNamespaces(changes []NamespaceChange) *Snapshot {
	next := *s
	next.namespaces = maps.Clone(s.namespaces)
	for _, change := range changes {
		if change.Gone {
			delete(next.namespaces, change.Namespace.Name)
			continue
		}
		next.namespaces[change.Namespace.Name] = knownNamespace{change.Namespace, s.policies.InNamespace(change.Namespace)}
	}
	return &next
}

// WithNodes is s after changes to nodes, or s itself when no label or taint changed.
func (s *Snapshot) WithNodes(changes []NodeChange) *Snapshot {
	nodes := s.nodes.Apply(changes)
	if nodes == s.nodes {
		return s
	}
	next := *s
	next.nodes = nodes
	return &next
}
