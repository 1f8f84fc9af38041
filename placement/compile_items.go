package placement

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// What a policy can inject must be what the API server accepts, or it refuses
// every DaemonSet in scope for a field that its author never wrote.

// compileRequirements checks nodeRequirements.
func compileRequirements(path *field.Path, list []v1alpha1.NodeRequirement) (expressions, field.ErrorList) {
	var compiled expressions
	var errs field.ErrorList
	for i, from := range list {
		at := path.Index(i)
		requirement := corev1.NodeSelectorRequirement{Key: from.Key, Operator: from.Operator, Values: slices.Clone(valueSet(from.Values))}
		errs = append(errs, validateRequirement(at, &requirement, validateLabelValue)...)
		if compares := from.Operator == corev1.NodeSelectorOpGt || from.Operator == corev1.NodeSelectorOpLt; compares && len(from.Values) == 1 && !isInteger(from.Values[0]) {
			errs = append(errs, field.Invalid(at.Child("values"), from.Values, wantInteger))
		}
		compiled = append(compiled, requirement)
	}
	return compiled, errs
}

// isInteger says whether a text is an integer that is a label value too, so without
// a sign, and fits into 64 bits.
func isInteger(text string) bool {
	return text != "" && len(text) <= 18 && strings.Trim(text, "0123456789") == ""
}

// compileTolerations checks tolerations. The operators Lt and Gt are taken only where
// the feature gate TaintTolerationComparisonOperators is on.
func compileTolerations(path *field.Path, list []v1alpha1.Toleration) ([]corev1.Toleration, field.ErrorList) {
	var compiled []corev1.Toleration
	for _, from := range list {
		compiled = append(compiled, corev1.Toleration(from))
	}
	return compiled, validateTolerations(path, compiled, "", corev1.TolerationOpExists, corev1.TolerationOpEqual)
}
