package placement

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What users write is shown, in messages, as far as anybody would read it.
const (
	// maxShown is for each text: as long as a name may be.
	maxShown = 253
	// maxShownValues is for the values of one expression.
	maxShownValues = 8
	// maxDetail is for all that a violation says.
	maxDetail = 2048
)

// shown is a text of a user's in a message.
func shown[T ~string](text T) T { return T(cutTo(maxShown, string(text))) }

// shownList writes the first of a list, and how many more there are.
func shownList(list []string) string {
	var b strings.Builder
	for i, text := range list[:min(len(list), maxShownValues)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(shown(text))
	}
	if more := len(list) - maxShownValues; more > 0 {
		fmt.Fprintf(&b, ", … %d more", more)
	}
	return b.String()
}

// wholeOf names an expression of which format shows only a part.
func wholeOf(r corev1.NodeSelectorRequirement) string {
	if len(r.Values) <= maxShownValues {
		return ""
	}
	var index requirementIndex
	return digestOf(index.key(r))
}

// shownError is an error with texts that are not too long.
func shownError(err *field.Error) *field.Error {
	value, isText := err.BadValue.(string)
	if len(err.Field) <= 2*maxShown && len(value) <= maxShown && len(err.Detail) <= maxDetail {
		return err
	}
	short := *err
	short.Field = cutTo(2*maxShown, err.Field)
	if isText {
		short.BadValue = shown(value)
	}
	short.Detail = cutTo(maxDetail, err.Detail)
	return &short
}
