package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
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
// +kubebuilder:printcolumn:name="DaemonSets",type=integer,JSONPath=`.status.daemonSets.matched`
// +kubebuilder:printcolumn:name="Compliant",type=integer,JSONPath=`.status.daemonSets.compliant`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodes.matched`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Conflicting",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Conflicting")].status`
// +kubebuilder:printcolumn:name="Would-Change",type=integer,priority=1,JSONPath=`.status.daemonSets.wouldChange`
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
// labels it requires of them, or which nodes they must not lose.
//
// +kubebuilder:validation:XValidation:rule="(has(self.nodeSelector) && size(self.nodeSelector) > 0) || (has(self.nodeSelectorFrom) && size(self.nodeSelectorFrom) > 0) || (has(self.nodeRequirements) && size(self.nodeRequirements) > 0) || (has(self.tolerations) && size(self.tolerations) > 0) || has(self.nodeChecks)",message="the policy requires nothing: set nodeSelector, nodeSelectorFrom, nodeRequirements, tolerations or nodeChecks"
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

	// matchConditions are CEL expressions that all have to be true for the policy
	// to apply, as in a webhook configuration. They see request (the
	// AdmissionRequest), object, oldObject (null on creation) and namespaceObject.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.map(c, size(c.expression)).sum() <= 16384",message="the expressions together must not have more than 16384 characters"
	MatchConditions []MatchCondition `json:"matchConditions,omitempty"`

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

	// nodeRequirements is expressions of required node affinity. They are added to
	// every nodeSelectorTerm of the pod template, since terms are ORed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(r, !format.qualifiedName().validate(r.key).hasValue())",message="a key is not a node label key: use [prefix/]name, such as example.com/pool"
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.operator in ['In', 'NotIn'] ? has(r.values) && size(r.values) > 0 : true)",message="the operators In and NotIn need values"
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.operator in ['Exists', 'DoesNotExist'] ? !has(r.values) || size(r.values) == 0 : true)",message="the operators Exists and DoesNotExist take no values"
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.operator in ['Gt', 'Lt'] ? has(r.values) && size(r.values) == 1 && r.values[0].matches('^[0-9]{1,18}$') : true)",message="the operators Gt and Lt need one value, an integer of at most 18 digits without a sign"
	NodeRequirements []NodeRequirement `json:"nodeRequirements,omitempty"`

	// tolerations are appended to the pod template where it does not tolerate the
	// same already. They are the one thing that can put a DaemonSet on more nodes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []Toleration `json:"tolerations,omitempty"`

	// conflictPolicy says what to do with a DaemonSet whose own nodeSelector has
	// another value for a required key: Reject it, keep the existing value
	// (PreferExisting), or overwrite it (PreferPolicy).
	// +optional
	// +kubebuilder:default=Reject
	ConflictPolicy ConflictPolicy `json:"conflictPolicy,omitempty"`

	// updatePolicy says which updates of a DaemonSet bring it into line:
	// OnTemplateChange those that change its pod template, and so roll its pods
	// anyway; Always every one, so that annotating a DaemonSet may roll its pods;
	// CreateOnly none.
	// +optional
	// +kubebuilder:default=OnTemplateChange
	UpdatePolicy UpdatePolicy `json:"updatePolicy,omitempty"`

	// failurePolicy says what happens when berth cannot tell what the policy
	// requires, as when it is invalid, a matchCondition fails or an annotation that
	// it reads is no node selector: Fail denies the request, Ignore leaves the policy out and warns.
	// +optional
	// +kubebuilder:default=Fail
	FailurePolicy FailurePolicy `json:"failurePolicy,omitempty"`

	// nodeChecks looks at the nodes that a DaemonSet would run on, by the DaemonSet
	// controller's own predicate. Where it is absent, its defaults count. A policy may
	// consist of nodeChecks alone: a guard, which adds nothing.
	// +optional
	NodeChecks *NodeChecks `json:"nodeChecks,omitempty"`

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
	// the policy applies when the old or the new object matches; the one after that
	// sees an object without the label. So it holds only those who may not change
	// labels: use a namespaceSelector against others. Empty selects every DaemonSet.
	// +optional
	ObjectSelector *metav1.LabelSelector `json:"objectSelector,omitempty"`
}

// MatchCondition is one condition of a policy.
type MatchCondition struct {
	// name identifies the condition in messages.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Name string `json:"name"`

	// expression is CEL, with the libraries of the API server, and yields a bool.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Expression string `json:"expression"`
}

// NodeRequirement is a corev1.NodeSelectorRequirement with limits, so that the
// API server can check it at admission.
type NodeRequirement struct {
	// key is the node label's key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`

	// operator is how the label's value relates to values.
	// +required
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist;Gt;Lt
	Operator corev1.NodeSelectorOperator `json:"operator"`

	// values is what In and NotIn compare with, or the one integer of Gt and Lt.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
	Values []string `json:"values,omitempty"`
}

// Toleration is a corev1.Toleration with limits, so that the API server can
// check it at admission. The operators Lt and Gt are left out: not every API
// server takes them.
//
// +kubebuilder:validation:XValidation:rule="has(self.key) && size(self.key) > 0 || has(self.operator) && self.operator == 'Exists'",message="a toleration without a key needs the operator Exists, and tolerates every taint"
// +kubebuilder:validation:XValidation:rule="!has(self.key) || size(self.key) == 0 || !format.qualifiedName().validate(self.key).hasValue()",message="the key is not a taint key: use [prefix/]name, such as example.com/dedicated"
// +kubebuilder:validation:XValidation:rule="!has(self.operator) || self.operator != 'Exists' || !has(self.value) || size(self.value) == 0",message="the operator Exists takes no value"
// +kubebuilder:validation:XValidation:rule="!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",message="tolerationSeconds goes with the effect NoExecute only"
type Toleration struct {
	// key is the taint's key. Empty, with the operator Exists, means every taint.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key,omitempty"`

	// operator is how the taint's value relates to value. Empty means Equal.
	// +optional
	// +kubebuilder:validation:Enum="";Exists;Equal
	Operator corev1.TolerationOperator `json:"operator,omitempty"`

	// value is what Equal compares with.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
	Value string `json:"value,omitempty"`

	// effect is the taint's effect. Empty means every effect.
	// +optional
	// +kubebuilder:validation:Enum="";NoSchedule;PreferNoSchedule;NoExecute
	Effect corev1.TaintEffect `json:"effect,omitempty"`

	// tolerationSeconds is for how long a taint of effect NoExecute is tolerated.
	// Absent means for ever.
	// +optional
	// +kubebuilder:validation:Maximum=2147483647
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty"`
}

// NodeChecks is limits on the nodes that a DaemonSet runs on. A change beyond
// them can be let through, once, with the annotation berth.dev/acknowledge.
type NodeChecks struct {
	// minMatchingNodes is how many nodes a DaemonSet has to run on at the least: a
	// number, or a percentage of all nodes. 0 allows a pool that scales from zero
	// without a warning.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^([0-9]|[1-9][0-9]|100)%$')",message="must be a number of nodes, or a percentage such as 10%"
	MinMatchingNodes *intstr.IntOrString `json:"minMatchingNodes,omitempty"`

	// maxNodesLost is off how many of its nodes one update may take a DaemonSet: a
	// number, or a percentage of the nodes that it runs on. Its pods there are
	// deleted at once: the rollout's maxUnavailable does not count for them.
	// +optional
	// +kubebuilder:default="10%"
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 2147483647 : self.matches('^([0-9]|[1-9][0-9]|100)%$')",message="must be a number of nodes, or a percentage such as 10%"
	MaxNodesLost *intstr.IntOrString `json:"maxNodesLost,omitempty"`

	// validationActions says what happens beyond the limits: Deny, Warn, or Audit.
	// Deny and Warn exclude each other.
	// +optional
	// +listType=set
	// +kubebuilder:default={Warn}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:XValidation:rule="!('Deny' in self && 'Warn' in self)",message="Deny and Warn exclude each other: a denial says all that a warning would"
	ValidationActions []ValidationAction `json:"validationActions,omitempty"`
}

// UpdatePolicy says which updates of a DaemonSet bring it into line.
//
// +kubebuilder:validation:Enum=OnTemplateChange;Always;CreateOnly
type UpdatePolicy string

// The update policies.
const (
	UpdateOnTemplateChange UpdatePolicy = "OnTemplateChange"
	UpdateAlways           UpdatePolicy = "Always"
	UpdateCreateOnly       UpdatePolicy = "CreateOnly"
)

// FailurePolicy says what happens when berth cannot tell what a policy requires.
//
// +kubebuilder:validation:Enum=Fail;Ignore
type FailurePolicy string

// The failure policies.
const (
	Fail   FailurePolicy = "Fail"
	Ignore FailurePolicy = "Ignore"
)

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
