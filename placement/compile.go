package placement

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// Policies is a compiled set of PlacementPolicies, in the order of their names.
// The zero value is the empty set.
type Policies struct {
	list []*policy
}

// policy is one compiled PlacementPolicy. It is never written to.
type policy struct {
	name              string
	mode              v1alpha1.Mode
	namespaceSelector labels.Selector
	objectSelector    labels.Selector
	sources           []source
	conflictPolicy    v1alpha1.ConflictPolicy
	actions           []v1alpha1.ValidationAction
}

// Namespace is what placement reads of a namespace.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Compile compiles policies. Those with errors are left out, and the errors are
// returned by policy name. What the CustomResourceDefinition's schema would
// reject or default, Compile rejects or defaults alike, so that files that never
// met an API server get the same answer.
func Compile(list []v1alpha1.PlacementPolicy) (Policies, map[string]field.ErrorList) {
	var compiled Policies
	failed := map[string]field.ErrorList{}
	for i := range list {
		p, errs := compile(&list[i])
		if len(errs) > 0 {
			failed[list[i].Name] = errs
			continue
		}
		compiled.list = append(compiled.list, p)
	}
	slices.SortFunc(compiled.list, func(a, b *policy) int { return strings.Compare(a.name, b.name) })
	return compiled, failed
}

// Len returns the number of policies.
func (p Policies) Len() int { return len(p.list) }

// For returns the policies whose namespaceSelector selects the namespace.
func (p Policies) For(ns Namespace) Policies {
	var selected Policies
	for _, policy := range p.list {
		if policy.namespaceSelector.Matches(labels.Set(ns.Labels)) {
			selected.list = append(selected.list, policy)
		}
	}
	return selected
}

func compile(from *v1alpha1.PlacementPolicy) (*policy, field.ErrorList) {
	spec, specPath := &from.Spec, field.NewPath("spec")
	var errs field.ErrorList
	compiled := &policy{
		name:           from.Name,
		mode:           cmp.Or(spec.Mode, v1alpha1.ModeEnforce),
		conflictPolicy: cmp.Or(spec.ConflictPolicy, v1alpha1.ConflictReject),
		actions:        spec.ValidationActions,
	}
	if len(compiled.actions) == 0 {
		compiled.actions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	}
	errs = append(errs, validateEnum(specPath.Child("mode"), compiled.mode,
		v1alpha1.ModeEnforce, v1alpha1.ModeAudit)...)
	errs = append(errs, validateEnum(specPath.Child("conflictPolicy"), compiled.conflictPolicy,
		v1alpha1.ConflictReject, v1alpha1.ConflictPreferExisting, v1alpha1.ConflictPreferPolicy)...)
	errs = append(errs, validateActions(specPath.Child("validationActions"), compiled.actions)...)

	constraints := specPath.Child("matchConstraints")
	var selectorErrs field.ErrorList
	compiled.namespaceSelector, selectorErrs = compileSelector(constraints.Child("namespaceSelector"), spec.MatchConstraints.NamespaceSelector)
	errs = append(errs, selectorErrs...)
	compiled.objectSelector, selectorErrs = compileSelector(constraints.Child("objectSelector"), spec.MatchConstraints.ObjectSelector)
	errs = append(errs, selectorErrs...)

	var sourceErrs field.ErrorList
	compiled.sources, sourceErrs = compileSources(specPath, spec)
	return compiled, append(errs, sourceErrs...)
}

// compileSelector compiles a selector; nil selects everything.
func compileSelector(path *field.Path, selector *metav1.LabelSelector) (labels.Selector, field.ErrorList) {
	if selector == nil {
		return labels.Everything(), nil
	}
	if errs := validation.ValidateLabelSelector(selector, validation.LabelSelectorValidationOptions{}, path); len(errs) > 0 {
		return nil, errs
	}
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(path, metav1.FormatLabelSelector(selector), err.Error())}
	}
	return compiled, nil
}

func compileSources(specPath *field.Path, spec *v1alpha1.PlacementPolicySpec) ([]source, field.ErrorList) {
	var sources []source
	var errs field.ErrorList
	if len(spec.NodeSelector) > 0 {
		labels := make(literal, len(spec.NodeSelector))
		for key, value := range spec.NodeSelector {
			labels[key] = string(value)
		}
		errs = append(errs, sorted(validation.ValidateLabels(labels, specPath.Child("nodeSelector")))...)
		sources = append(sources, labels)
	}
	for i, from := range spec.NodeSelectorFrom {
		at := specPath.Child("nodeSelectorFrom").Index(i)
		switch from.Type {
		case v1alpha1.NodeSelectorFromWorkloadSelector:
			sources = append(sources, newWorkloadSelector(from.WorkloadSelector))
		default:
			errs = append(errs, validateEnum(at.Child("type"), from.Type, v1alpha1.NodeSelectorFromWorkloadSelector)...)
		}
	}
	if len(spec.NodeSelector) == 0 && len(spec.NodeSelectorFrom) == 0 {
		errs = append(errs, field.Required(specPath, "the policy requires no node label: set nodeSelector or nodeSelectorFrom"))
	}
	return sources, errs
}

func validateEnum[T ~string](path *field.Path, value T, supported ...T) field.ErrorList {
	if slices.Contains(supported, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, supported)}
}

func validateActions(path *field.Path, actions []v1alpha1.ValidationAction) field.ErrorList {
	var errs field.ErrorList
	for i, action := range actions {
		errs = append(errs, validateEnum(path.Index(i), action, v1alpha1.Deny, v1alpha1.Warn, v1alpha1.Audit)...)
	}
	if slices.Contains(actions, v1alpha1.Deny) && slices.Contains(actions, v1alpha1.Warn) {
		errs = append(errs, field.Invalid(path, actions, "Deny and Warn exclude each other: a denial says all that a warning would"))
	}
	return errs
}

// sorted puts errors in order, since validation ranges over maps.
func sorted(errs field.ErrorList) field.ErrorList {
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}
