package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// policy is one compiled PlacementPolicy. It is never written to.
type policy struct {
	name        string
	mode        v1alpha1.Mode
	conditional bool // has matchConditions
	// invalid is what is wrong with the policy; nil: nothing. Of an invalid one
	// nobody knows what it requires.
	invalid           *field.Error
	namespaceSelector labels.Selector
	objectSelector    labels.Selector
	sources           []source
	tolerations       []corev1.Toleration
	nodeChecks        nodeChecks
	conflictPolicy    v1alpha1.ConflictPolicy
	updatePolicy      v1alpha1.UpdatePolicy
	failurePolicy     v1alpha1.FailurePolicy
	actions           []v1alpha1.ValidationAction
}

// Namespace is what placement reads of a namespace.
type Namespace struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
}

// Compile compiles policies. The errors of invalid ones are returned by policy
// name: in their scope their failurePolicy says what happens, and a selector that
// does not compile selects everything. What the CustomResourceDefinition's schema would
// reject or default, Compile rejects or defaults alike, so that files that never
// met an API server get the same answer.
func Compile(list []v1alpha1.PlacementPolicy) (Policies, map[string]field.ErrorList) {
	var compiled Policies
	failed := map[string]field.ErrorList{}
	for i := range list {
		p, errs := compile(&list[i])
		if len(errs) > 0 {
			failed[list[i].Name] = errs
			p.invalid = p.invalidity(errs)
		}
		compiled.list = append(compiled.list, p)
	}
	slices.SortFunc(compiled.list, func(a, b *policy) int { return strings.Compare(a.name, b.name) })
	return compiled, failed
}

func compile(from *v1alpha1.PlacementPolicy) (*policy, field.ErrorList) {
	spec, specPath := &from.Spec, field.NewPath("spec")
	var errs field.ErrorList
	compiled := &policy{
		name:           from.Name,
		mode:           cmp.Or(spec.Mode, v1alpha1.ModeEnforce),
		conditional:    len(spec.MatchConditions) > 0,
		conflictPolicy: cmp.Or(spec.ConflictPolicy, v1alpha1.ConflictReject),
		updatePolicy:   cmp.Or(spec.UpdatePolicy, v1alpha1.UpdateOnTemplateChange),
		failurePolicy:  cmp.Or(spec.FailurePolicy, v1alpha1.Fail),
		actions:        spec.ValidationActions,
	}
	if len(compiled.actions) == 0 {
		compiled.actions = []v1alpha1.ValidationAction{v1alpha1.Deny}
	}
	errs = append(errs, validateEnum(specPath.Child("mode"), compiled.mode,
		v1alpha1.ModeEnforce, v1alpha1.ModeAudit)...)
	if compiled.mode != v1alpha1.ModeAudit {
		compiled.mode = v1alpha1.ModeEnforce // Also what is no mode: an invalid policy must not open the gate.
	}
	errs = append(errs, validateEnum(specPath.Child("conflictPolicy"), compiled.conflictPolicy,
		v1alpha1.ConflictReject, v1alpha1.ConflictPreferExisting, v1alpha1.ConflictPreferPolicy)...)
	errs = append(errs, validateEnum(specPath.Child("updatePolicy"), compiled.updatePolicy,
		v1alpha1.UpdateOnTemplateChange, v1alpha1.UpdateAlways, v1alpha1.UpdateCreateOnly)...)
	errs = append(errs, validateEnum(specPath.Child("failurePolicy"), compiled.failurePolicy,
		v1alpha1.Fail, v1alpha1.Ignore)...)
	errs = append(errs, validateActions(specPath.Child("validationActions"), compiled.actions)...)

	constraints := specPath.Child("matchConstraints")
	var selectorErrs field.ErrorList
	compiled.namespaceSelector, selectorErrs = compileSelector(constraints.Child("namespaceSelector"), spec.MatchConstraints.NamespaceSelector)
	errs = append(errs, selectorErrs...)
	compiled.objectSelector, selectorErrs = compileSelector(constraints.Child("objectSelector"), spec.MatchConstraints.ObjectSelector)
	errs = append(errs, selectorErrs...)

	var checkErrs, sourceErrs field.ErrorList
	compiled.nodeChecks, checkErrs = compileNodeChecks(specPath.Child("nodeChecks"), spec.NodeChecks)
	errs = append(errs, checkErrs...)
	compiled.sources, sourceErrs = compileSources(specPath, spec)
	errs = append(errs, sourceErrs...)
	var tolerationErrs field.ErrorList
	compiled.tolerations, tolerationErrs = compileTolerations(specPath.Child("tolerations"), spec.Tolerations)
	return compiled, append(errs, tolerationErrs...)
}

// WithErrors returns the same policies, told what else is wrong with some, by
// name: their matchConditions, which do not compile.
func (p Policies) WithErrors(errs map[string]field.ErrorList) Policies {
	if len(errs) == 0 {
		return p
	}
	p.list = slices.Clone(p.list)
	for i, compiled := range p.list {
		if more := errs[compiled.name]; len(more) > 0 {
			invalid := *compiled
			invalid.conditional = false // Nobody can ask them.
			invalid.invalid = cmp.Or(compiled.invalid, compiled.invalidity(more))
			p.list[i] = &invalid
		}
	}
	return p
}

// maxInvalidity is the length in bytes to which a denial cuts what is wrong with
// a policy: whoever may edit it reads the rest in its status.
const maxInvalidity = 512

// invalidity says to the author of a DaemonSet that the policy is invalid.
func (p *policy) invalidity(errs field.ErrorList) *field.Error {
	detail := errs[0].Error()
	if more := len(errs) - 1; more > 0 {
		detail = fmt.Sprintf("%s (and %d more)", cutTo(maxInvalidity, detail), more)
	}
	return field.Forbidden(field.NewPath("metadata"), fmt.Sprintf("policy %q is invalid: ask a cluster admin to edit it: %s",
		p.name, cutTo(maxInvalidity, detail)))
}

// compileSelector compiles a selector; nil selects everything.
func compileSelector(path *field.Path, selector *metav1.LabelSelector) (labels.Selector, field.ErrorList) {
	if selector == nil {
		return labels.Everything(), nil
	}
	if errs := validation.ValidateLabelSelector(selector, validation.LabelSelectorValidationOptions{}, path); len(errs) > 0 {
		return labels.Everything(), errs
	}
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return labels.Everything(), field.ErrorList{field.Invalid(path, metav1.FormatLabelSelector(selector), err.Error())}
	}
	return compiled, nil
}

func compileSources(specPath *field.Path, spec *v1alpha1.PlacementPolicySpec) ([]source, field.ErrorList) {
	var sources []source
	var errs field.ErrorList
	if len(spec.NodeSelector) > 0 {
		labels := make(map[string]string, len(spec.NodeSelector))
		for key, value := range spec.NodeSelector {
			labels[key] = string(value)
		}
		errs = append(errs, sorted(validation.ValidateLabels(labels, specPath.Child("nodeSelector")))...)
		sources = append(sources, literal{sortedLabels(labels), "its nodeSelector"})
	}
	if len(spec.NodeRequirements) > 0 {
		expressions, requirementErrs := compileRequirements(specPath.Child("nodeRequirements"), spec.NodeRequirements)
		errs = append(errs, requirementErrs...)
		sources = append(sources, expressions)
	}
	for i, from := range spec.NodeSelectorFrom {
		switch from.Type {
		case v1alpha1.NodeSelectorFromWorkloadSelector:
			sources = append(sources, newWorkloadSelector(from.WorkloadSelector))
		case v1alpha1.NodeSelectorFromNamespaceAnnotation:
			sources = append(sources, newNamespaceAnnotation(from.NamespaceAnnotation))
		case v1alpha1.NodeSelectorFromWorkloadAnnotation:
			sources = append(sources, newWorkloadAnnotation(from.WorkloadAnnotation))
		default:
			errs = append(errs, validateEnum(specPath.Child("nodeSelectorFrom").Index(i).Child("type"), from.Type,
				v1alpha1.NodeSelectorFromWorkloadSelector, v1alpha1.NodeSelectorFromNamespaceAnnotation, v1alpha1.NodeSelectorFromWorkloadAnnotation)...)
		}
	}
	if len(sources)+len(spec.Tolerations)+len(spec.NodeSelectorFrom) == 0 && spec.NodeChecks == nil {
		errs = append(errs, field.Required(specPath, "the policy requires nothing: set nodeSelector, nodeSelectorFrom, nodeRequirements, tolerations or nodeChecks"))
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

// sorted puts errors, with what is shown of them, in order, since validation ranges over maps.
func sorted(errs field.ErrorList) field.ErrorList {
	texts := make(map[*field.Error]string, len(errs))
	for i, err := range errs {
		errs[i] = shownError(err)
		texts[errs[i]] = errs[i].Error()
	}
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(texts[a], texts[b]) })
	return errs
}
