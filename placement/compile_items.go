package placement

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	labelvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// What a policy can inject must be what the API server accepts, or it refuses
// every DaemonSet in scope for a field that its author never wrote.

// compileRequirements checks nodeRequirements as the API server checks node
// affinity (k8s.io/kubernetes pkg/apis/core/validation ValidateNodeSelectorRequirement).
func compileRequirements(path *field.Path, list []v1alpha1.NodeRequirement) (expressions, field.ErrorList) {
	var compiled expressions
	var errs field.ErrorList
	for i, from := range list {
		at := path.Index(i)
		errs = append(errs, validation.ValidateLabelName(from.Key, at.Child("key"))...)
		errs = append(errs, validateRequirementValues(at, &list[i])...)
		compiled = append(compiled, corev1.NodeSelectorRequirement{
			Key: from.Key, Operator: from.Operator, Values: slices.Clone(valueSet(from.Values)),
		})
	}
	return compiled, errs
}

func validateRequirementValues(at *field.Path, from *v1alpha1.NodeRequirement) field.ErrorList {
	var errs field.ErrorList
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
		if len(from.Values) != 1 || !isInteger(from.Values[0]) {
			errs = append(errs, field.Invalid(at.Child("values"), from.Values,
				"the operators Gt and Lt need one value, an integer of at most 18 digits without a sign"))
		}
	default:
		errs = append(errs, validateEnum(at.Child("operator"), from.Operator,
			corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn, corev1.NodeSelectorOpExists,
			corev1.NodeSelectorOpDoesNotExist, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt)...)
	}
	for i, value := range from.Values {
		errs = append(errs, validateLabelValue(at.Child("values").Index(i), value)...)
	}
	return errs
}

// isInteger says whether a text is an integer that is a label value too, so without
// a sign, and fits into 64 bits.
func isInteger(text string) bool {
	return text != "" && len(text) <= 18 && strings.Trim(text, "0123456789") == ""
}

func validateLabelValue(at *field.Path, value string) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range labelvalidation.IsValidLabelValue(value) {
		errs = append(errs, field.Invalid(at, value, problem))
	}
	return errs
}

// compileTolerations checks tolerations as the API server does (k8s.io/kubernetes
// pkg/apis/core/validation ValidateTolerations). The operators Lt and Gt are taken
// only where the feature gate TaintTolerationComparisonOperators is on.
func compileTolerations(path *field.Path, list []v1alpha1.Toleration) ([]corev1.Toleration, field.ErrorList) {
	var compiled []corev1.Toleration
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
		errs = append(errs, validateEnum(at.Child("operator"), from.Operator, "", corev1.TolerationOpExists, corev1.TolerationOpEqual)...)
		errs = append(errs, validateEnum(at.Child("effect"), from.Effect,
			"", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
		errs = append(errs, validateLabelValue(at.Child("value"), from.Value)...)
		compiled = append(compiled, corev1.Toleration(from))
	}
	return compiled, errs
}
