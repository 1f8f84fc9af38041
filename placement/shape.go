package placement

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var selectorOperators = []metav1.LabelSelectorOperator{
	metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn,
	metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist,
}

// maxMalformed is more errors of a selector than anybody reads before mending the
// first.
const maxMalformed = 100

// checkShape finds what makes a DaemonSet malformed for any policy, and says
// whether its selector can be read. Mutating admission runs before the API server
// validates, so all of it can be seen here.
func checkShape(object *Object) (errs field.ErrorList, readable bool) {
	if object.Template.NodeName != "" {
		errs = append(errs, field.Forbidden(nodeNamePath.field,
			"it binds every pod to one node, past all node labels: remove it, and label the node instead"))
	}
	selector := object.Selector
	if selector == nil || len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		return append(errs, field.Required(selectorPath.field,
			"it must select the DaemonSet's own pods: copy spec.template.metadata.labels into spec.selector.matchLabels")), false
	}
	if invalid := validateSelector(selector); len(invalid) > 0 {
		return append(errs, invalid[:min(len(invalid), maxMalformed)]...), false
	}
	if !selectorMatches(selector, object.Template.Labels) {
		errs = append(errs, field.Invalid(templateLabelsPath.field, shown(labels.Set(object.Template.Labels).String()),
			"must match spec.selector ("+shown(metav1.FormatLabelSelector(selector))+"): add what is missing to the template's labels"))
	}
	return errs, true
}

func validateSelector(selector *metav1.LabelSelector) field.ErrorList {
	if plain(selector) {
		return nil
	}
	var errs field.ErrorList
	for i, expression := range selector.MatchExpressions {
		errs = append(errs, validateEnum(selectorPath.field.Child("matchExpressions").Index(i).Child("operator"),
			shown(expression.Operator), selectorOperators...)...)
	}
	options := validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
	return append(errs, sorted(validation.ValidateLabelSelector(selector, options, selectorPath.field))...)
}

// plain says whether a selector is sure to be valid: labels only, short, and
// without anything that apimachinery's regular expressions have to look at.
func plain(selector *metav1.LabelSelector) bool {
	if len(selector.MatchExpressions) > 0 {
		return false
	}
	for key, value := range selector.MatchLabels {
		prefix, name, prefixed := strings.Cut(key, "/")
		if !prefixed {
			prefix, name = "x", key
		}
		if !plainWord(name) || value != "" && !plainWord(value) || !plainWord(prefix) || strings.ToLower(prefix) != prefix {
			return false
		}
	}
	return true
}

// plainWord says whether a text is letters and digits, in parts of which single
// dashes or dots are between.
func plainWord(text string) bool {
	between := true // at the start, and behind a dash or dot, a letter has to come
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			between = false
		case (c == '-' || c == '.') && !between:
			between = true
		default:
			return false
		}
	}
	return !between && len(text) <= 63
}

// selectorMatches says whether a valid selector selects the labels. Matching
// labels one by one spares the common case a compiled selector.
func selectorMatches(selector *metav1.LabelSelector, set map[string]string) bool {
	if len(selector.MatchExpressions) == 0 {
		for key, value := range selector.MatchLabels {
			if have, ok := set[key]; !ok || have != value {
				return false
			}
		}
		return true
	}
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && compiled.Matches(labels.Set(set))
}
