package placement

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	labelvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the API server refuses in a pod template, of what decides on nodes
// (k8s.io/kubernetes pkg/apis/core/validation/validation.go).

// Validate says what the API server refuses in the nodeSelector, the node affinity
// and the tolerations of a pod template that is new.
func Validate(path *field.Path, spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(spec.NodeSelector)) {
		at := path.Child("nodeSelector").Key(key)
		errs = append(errs, validation.ValidateLabelName(key, at)...)
		errs = append(errs, validateLabelValue(at, spec.NodeSelector[key])...)
	}
	// Lt and Gt are refused where the feature gate TaintTolerationComparisonOperators is off, which nobody can know here.
	errs = append(errs, validateTolerations(path.Child("tolerations"), spec.Tolerations,
		"", corev1.TolerationOpExists, corev1.TolerationOpEqual, corev1.TolerationOpLt, corev1.TolerationOpGt)...)
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil {
		return errs
	}
	affinity, path := spec.Affinity.NodeAffinity, path.Child("affinity", "nodeAffinity")
	if required := affinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
		at := path.Child("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
		if len(required.NodeSelectorTerms) == 0 {
			errs = append(errs, field.Required(at, "at least one term has to be there"))
		}
		for i := range required.NodeSelectorTerms {
			errs = append(errs, validateTerm(at.Index(i), &required.NodeSelectorTerms[i], validateLabelValue)...)
		}
	}
	for i := range affinity.PreferredDuringSchedulingIgnoredDuringExecution {
		preferred := &affinity.PreferredDuringSchedulingIgnoredDuringExecution[i]
		at := path.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i)
		if preferred.Weight < 1 || preferred.Weight > 100 {
			errs = append(errs, field.Invalid(at.Child("weight"), preferred.Weight, "must be from 1 to 100"))
		}
		errs = append(errs, validateTerm(at.Child("preference"), &preferred.Preference, anyValue)...)
	}
	return errs
}

// anyValue takes what no node label can be: preferences may.
func anyValue(*field.Path, string) field.ErrorList { return nil }

// validateTerm is ValidateNodeSelectorTerm.
func validateTerm(path *field.Path, term *corev1.NodeSelectorTerm, valid func(*field.Path, string) field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for i := range term.MatchExpressions {
		errs = append(errs, validateRequirement(path.Child("matchExpressions").Index(i), &term.MatchExpressions[i], valid)...)
	}
	for i, from := range term.MatchFields {
		at := path.Child("matchFields").Index(i)
		errs = append(errs, validateEnum(at.Child("key"), from.Key, "metadata.name")...)
		errs = append(errs, validateEnum(at.Child("operator"), from.Operator, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn)...)
		if len(from.Values) != 1 {
			errs = append(errs, field.Required(at.Child("values"), "a field needs one value"))
			continue
		}
		for _, problem := range apivalidation.NameIsDNSSubdomain(from.Values[0], false) {
			errs = append(errs, field.Invalid(at.Child("values").Index(0), from.Values[0], problem))
		}
	}
	return errs
}

const wantInteger = "the operators Gt and Lt need one value, an integer of at most 18 digits without a sign"

// validateRequirement is ValidateNodeSelectorRequirement.
func validateRequirement(at *field.Path, from *corev1.NodeSelectorRequirement, valid func(*field.Path, string) field.ErrorList) field.ErrorList {
	errs := validation.ValidateLabelName(from.Key, at.Child("key"))
	switch from.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(from.Values) == 0 {
			errs = append(errs, field.Required(at.Child("values"), "the operators In and NotIn need values"))
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(from.Values) > 0 {
			errs = append(errs, field.Forbidden(at.Child("values"), "the operators Exists and DoesNotExist take no values"))
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(from.Values) != 1 {
			errs = append(errs, field.Invalid(at.Child("values"), from.Values, wantInteger))
		}
	default:
		errs = append(errs, validateEnum(at.Child("operator"), from.Operator,
			corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists,
			corev1.NodeSelectorOpDoesNotExist, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt)...)
	}
	for i, value := range from.Values {
		errs = append(errs, valid(at.Child("values").Index(i), value)...)
	}
	return errs
}

// isLabel says whether a key and its value can be a label of a node.
func isLabel(key, value string) bool {
	return len(labelvalidation.IsValidLabelValue(value)) == 0 && len(labelvalidation.IsQualifiedName(key)) == 0
}

func validateLabelValue(at *field.Path, value string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range labelvalidation.IsValidLabelValue(value) {
		errs = append(errs, field.Invalid(at, value, problem))
	}
	return errs
}

// validateTolerations is ValidateTolerations.
func validateTolerations(path *field.Path, list []corev1.Toleration, operators ...corev1.TolerationOperator) field.ErrorList {
	var errs field.ErrorList
	for i, from := range list {
		at := path.Index(i)
		if from.Key != "" {
			errs = append(errs, validation.ValidateLabelName(from.Key, at.Child("key"))...)
		} else if from.Operator != corev1.TolerationOpExists {
			errs = append(errs, field.Invalid(at, from.Operator, "a toleration without a key needs the operator Exists, and tolerates every taint"))
		}
		if from.Operator == corev1.TolerationOpExists && from.Value != "" {
			errs = append(errs, field.Invalid(at, from.Value, "the operator Exists takes no value"))
		}
		if from.TolerationSeconds != nil && from.Effect != corev1.TaintEffectNoExecute {
			errs = append(errs, field.Invalid(at, from.Effect, "tolerationSeconds goes with the effect NoExecute only"))
		}
		errs = append(errs, validateEnum(at.Child("operator"), from.Operator, operators...)...)
		errs = append(errs, validateEnum(at.Child("effect"), from.Effect,
			"", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
		errs = append(errs, validateLabelValue(at.Child("value"), from.Value)...)
	}
	return errs
}
