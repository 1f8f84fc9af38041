package v1alpha1

// NodeSelectorSource is one place from which required node labels come.
//
// +union
// +kubebuilder:validation:XValidation:rule="has(self.workloadSelector) ? self.type == 'WorkloadSelector' : true",message="workloadSelector goes with type WorkloadSelector only"
// +kubebuilder:validation:XValidation:rule="has(self.namespaceAnnotation) ? self.type == 'NamespaceAnnotation' : true",message="namespaceAnnotation goes with type NamespaceAnnotation only"
// +kubebuilder:validation:XValidation:rule="has(self.workloadAnnotation) ? self.type == 'WorkloadAnnotation' : true",message="workloadAnnotation goes with type WorkloadAnnotation only"
type NodeSelectorSource struct {
	// type is the kind of source.
	// +unionDiscriminator
	// +required
	Type NodeSelectorSourceType `json:"type"`

	// workloadSelector refines the type WorkloadSelector.
	// +optional
	WorkloadSelector *WorkloadSelectorSource `json:"workloadSelector,omitempty"`

	// namespaceAnnotation refines the type NamespaceAnnotation.
	// +optional
	NamespaceAnnotation *NamespaceAnnotationSource `json:"namespaceAnnotation,omitempty"`

	// workloadAnnotation refines the type WorkloadAnnotation.
	// +optional
	WorkloadAnnotation *WorkloadAnnotationSource `json:"workloadAnnotation,omitempty"`
}

// NodeSelectorSourceType is the kind of a NodeSelectorSource.
//
// +kubebuilder:validation:Enum=WorkloadSelector;NamespaceAnnotation;WorkloadAnnotation
type NodeSelectorSourceType string

// The kinds of source.
const (
	// NodeSelectorFromWorkloadSelector takes the DaemonSet's own spec.selector:
	// matchLabels become the nodeSelector, matchExpressions required node affinity.
	NodeSelectorFromWorkloadSelector NodeSelectorSourceType = "WorkloadSelector"
	// NodeSelectorFromNamespaceAnnotation takes an annotation of the DaemonSet's
	// namespace: key=value pairs with commas between them, as Kubernetes' own
	// PodNodeSelector reads them. An annotation that is there and empty opts the
	// namespace out of the whole policy.
	NodeSelectorFromNamespaceAnnotation NodeSelectorSourceType = "NamespaceAnnotation"
	// NodeSelectorFromWorkloadAnnotation takes an annotation of the DaemonSet
	// itself, in the same form.
	NodeSelectorFromWorkloadAnnotation NodeSelectorSourceType = "WorkloadAnnotation"
)

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

// NamespaceAnnotationSource says which annotation of a namespace counts.
type NamespaceAnnotationSource struct {
	// key is the annotation's key.
	// +optional
	// +kubebuilder:default="scheduler.alpha.kubernetes.io/node-selector"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key,omitempty"`
}

// WorkloadAnnotationSource says which annotation of a DaemonSet counts, and
// which node labels its author may ask for.
type WorkloadAnnotationSource struct {
	// key is the annotation's key.
	// +optional
	// +kubebuilder:default="berth.dev/node-selector"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key,omitempty"`

	// allowedKeys is the node label keys that the annotation may name.
	// Empty means every key.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	AllowedKeys []string `json:"allowedKeys,omitempty"`
}

// The annotations that the sources read where a policy names none.
const (
	DefaultNamespaceAnnotation = "scheduler.alpha.kubernetes.io/node-selector"
	DefaultWorkloadAnnotation  = "berth.dev/node-selector"
)
