package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PlacementPolicyStatus is what berth makes of a policy. The counts follow the
// cluster within seconds; one berth writes them, and only when they change.
type PlacementPolicyStatus struct {
	// observedGeneration is the metadata.generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Ready is True when berth enforces this generation of the
	// policy, False when it cannot, with the reason: its failurePolicy says what
	// happens then. Conflicting is True when another policy requires another value of a
	// node label for the same DaemonSet or namespace; both policies name the other.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// daemonSets counts the DaemonSets that the policy applies to. It is absent
	// until berth has looked at them.
	// +optional
	DaemonSets *DaemonSetCounts `json:"daemonSets,omitempty"`

	// nodes counts the nodes of those DaemonSets. It is absent until berth has
	// looked at them.
	// +optional
	Nodes *NodeCounts `json:"nodes,omitempty"`
}

// DaemonSetCounts counts DaemonSets, of those that the API server sends to
// berth and that are not being deleted.
type DaemonSetCounts struct {
	// matched is the DaemonSets that the policy applies to: by its
	// matchConstraints and matchConditions, in namespaces that have not opted out.
	Matched int32 `json:"matched"`

	// compliant is those of the matched that this policy would take as they are,
	// were they created now: it has nothing to add and nothing to object to, not
	// even with a warning.
	Compliant int32 `json:"compliant"`

	// wouldChange is those of the matched into which berth writes what the policy
	// requires when their pod template changes next, or would write it, in mode
	// Audit. The rest of those that do not comply needs somebody's hand.
	WouldChange int32 `json:"wouldChange"`
}

// NodeCounts counts nodes.
type NodeCounts struct {
	// matched is the nodes on which at least one of the policy's DaemonSets runs,
	// as their pod templates are now, by the DaemonSet controller's own predicate:
	// labels, and taints that are tolerated.
	Matched int32 `json:"matched"`

	// total is all nodes of the cluster.
	Total int32 `json:"total"`
}

// The types of a policy's conditions.
const (
	// ConditionReady says whether berth enforces the policy.
	ConditionReady = "Ready"
	// ConditionConflicting says whether another policy contradicts it.
	ConditionConflicting = "Conflicting"
)
