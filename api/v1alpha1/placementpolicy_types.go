package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PlacementPolicy says on which nodes the DaemonSets that it selects run.
// berth writes the node labels that the policy requires into the DaemonSet's
// pod template, and rejects a DaemonSet that cannot have them.
//
// All policies that select a DaemonSet apply together (they are ANDed).
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=plp
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PlacementPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the admin wants.
	// +required
	Spec PlacementPolicySpec `json:"spec"`

	// status is what berth makes of it.
	// +optional
	Status PlacementPolicyStatus `json:"status,omitempty"`
}

// PlacementPolicyList is a list of PlacementPolicies.
//
// +kubebuilder:object:root=true
type PlacementPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PlacementPolicy `json:"items"`
}

// PlacementPolicySpec says which DaemonSets a policy selects and which node
// labels it requires of them.
//
// +kubebuilder:validation:XValidation:rule="(has(self.nodeSelector) && size(self.nodeSelector) > 0) || (has(self.nodeSelectorFrom) && size(self.nodeSelectorFrom) > 0)",message="the policy requires no node label: set nodeSelector or nodeSelectorFrom"
// +kubebuilder:validation:XValidation:rule="!has(self.nodeSelector) || self.nodeSelector.all(k, !format.qualifiedName().validate(k).hasValue())",fieldPath=".nodeSelector",message="a key is not a node label key: use [prefix/]name, such as example.com/pool"
// +kubebuilder:validation:XValidation:rule="!has(self.nodeSelector) || self.nodeSelector.all(k, !format.labelValue().validate(self.nodeSelector[k]).hasValue())",fieldPath=".nodeSelector",message="a value is not a node label value: at most 63 letters, digits, '-', '_' and '.'"
type PlacementPolicySpec struct {
	// mode Enforce mutates and rejects. Audit decides and reports only: it never
	// patches and never denies.
	// +optional
	// +kubebuilder:default=Enforce
	Mode Mode `json:"mode,omitempty"`

	// matchConstraints selects the DaemonSets. Empty selects every DaemonSet
	// that the webhook configurations send to berth.
	// +optional
	// +kubebuilder:default={}
	MatchConstraints MatchConstraints `json:"matchConstraints,omitempty"`

	// nodeSelector is node labels that the policy requires, literally.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	NodeSelector map[string]NodeLabelValue `json:"nodeSelector,omitempty"`

	// nodeSelectorFrom is sources of further required node labels. The policy
	// requires the union of nodeSelector and all sources.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	NodeSelectorFrom []NodeSelectorSource `json:"nodeSelectorFrom,omitempty"`

	// conflictPolicy says what to do with a DaemonSet whose own nodeSelector has
	// another value for a required key: Reject it, keep the existing value
	// (PreferExisting), or overwrite it (PreferPolicy).
	// +optional
	// +kubebuilder:default=Reject
	ConflictPolicy ConflictPolicy `json:"conflictPolicy,omitempty"`

	// validationActions says what happens to a DaemonSet that breaks the policy:
	// Deny the request, Warn the user, or Audit (an annotation in the API
	// server's audit log). Deny and Warn exclude each other.
	// +optional
	// +listType=set
	// +kubebuilder:default={Deny}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:XValidation:rule="!('Deny' in self && 'Warn' in self)",message="Deny and Warn exclude each other: a denial says all that a warning would"
	ValidationActions []ValidationAction `json:"validationActions,omitempty"`
}

// NodeLabelValue is the value of a node label. Its limit lets the API server
// bound the cost of checking a nodeSelector.
//
// +kubebuilder:validation:MaxLength=63
type NodeLabelValue string

// Mode says whether a policy acts or only reports.
//
// +kubebuilder:validation:Enum=Enforce;Audit
type Mode string

// The modes of a policy.
const (
	ModeEnforce Mode = "Enforce"
	ModeAudit   Mode = "Audit"
)

// MatchConstraints selects DaemonSets, in the shape of
// ValidatingAdmissionPolicy's matchConstraints.
type MatchConstraints struct {
	// namespaceSelector selects by the labels of the DaemonSet's namespace.
	// Empty selects every namespace.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// objectSelector selects by the labels of the DaemonSet itself. On an update
	// the policy applies when the old or the new object matches, so that taking
	// the label off does not evade it. Empty selects every DaemonSet.
	// +optional
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`
}

// NodeSelectorSource is one place from which required node labels come.
//
// +union
// +kubebuilder:validation:XValidation:rule="has(self.workloadSelector) ? self.type == 'WorkloadSelector' : true",message="workloadSelector goes with type WorkloadSelector only"
type NodeSelectorSource struct {
	// type is the kind of source.
	// +unionDiscriminator
	// +required
	Type NodeSelectorSourceType `json:"type"`

	// workloadSelector refines the type WorkloadSelector.
	// +optional
	WorkloadSelector *WorkloadSelectorSource `json:"workloadSelector,omitempty"`
}

// NodeSelectorSourceType is the kind of a NodeSelectorSource.
//
// +kubebuilder:validation:Enum=WorkloadSelector
type NodeSelectorSourceType string

// NodeSelectorFromWorkloadSelector takes the DaemonSet's own spec.selector:
// matchLabels become the nodeSelector, matchExpressions required node affinity.
const NodeSelectorFromWorkloadSelector NodeSelectorSourceType = "WorkloadSelector"

// WorkloadSelectorSource says which keys of spec.selector count.
type WorkloadSelectorSource struct {
	// keyPrefixes limits the source to keys that begin with one of these.
	// Empty means every key.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	KeyPrefixes []string `json:"keyPrefixes,omitempty"`

	// exceptKeys leaves these keys out.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	ExceptKeys []string `json:"exceptKeys,omitempty"`
}

// ConflictPolicy says what happens when a DaemonSet's own nodeSelector has
// another value for a key that a policy requires.
//
// +kubebuilder:validation:Enum=Reject;PreferExisting;PreferPolicy
type ConflictPolicy string

// The conflict policies.
const (
	ConflictReject         ConflictPolicy = "Reject"
	ConflictPreferExisting ConflictPolicy = "PreferExisting"
	ConflictPreferPolicy   ConflictPolicy = "PreferPolicy"
)

// ValidationAction says what happens to a DaemonSet that breaks a policy.
//
// +kubebuilder:validation:Enum=Deny;Warn;Audit
type ValidationAction string

// The validation actions.
const (
	Deny  ValidationAction = "Deny"
	Warn  ValidationAction = "Warn"
	Audit ValidationAction = "Audit"
)

// PlacementPolicyStatus is what berth makes of a policy.
type PlacementPolicyStatus struct {
	// observedGeneration is the metadata.generation that the status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions: Ready is True when berth enforces this generation of the
	// policy, False when it cannot, with the reason.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConditionReady is the type of the condition that says whether berth enforces
// the policy.
const ConditionReady = "Ready"
