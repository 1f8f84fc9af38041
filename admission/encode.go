package admission

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the API server takes of warnings, by the documentation of AdmissionResponse.warnings.
const (
	maxWarning  = 120
	maxWarnings = 4096
)

// AppendJSON appends the AdmissionReview that answers a review to b. The scratch is memory to encode the patch in. Both are
// returned, grown where that was necessary.
func (a *Answer) AppendJSON(b, scratch []byte, to *Review) (out, grown []byte) {
	b = append(b, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`...)
	b = append(b, to.rawUID()...)
	if len(a.Denied) > 0 {
		b = append(b, `,"allowed":false,"status":`...)
		b = appendDenial(b, to.DisplayName(), a.Causes())
	} else {
		b = append(b, `,"allowed":true`...)
	}
	if len(a.Patch) > 0 {
		scratch = a.Patch.AppendJSON(scratch[:0])
		b = append(b, `,"patchType":"JSONPatch","patch":"`...)
		b = base64.StdEncoding.AppendEncode(b, scratch)
		b = append(b, '"')
	}
	b = appendWarnings(b, a.Warnings)
	b = appendAnnotations(b, a.annotations)
	return append(b, `}}`...), scratch
}

// appendDenial appends the Status that the API server itself would answer, so that kubectl prints every cause.
func appendDenial(b []byte, name string, causes field.ErrorList) []byte {
	encoded, _ := json.Marshal(apierrors.NewInvalid(daemonSetKind, name, causes).Status()) // a Status holds nothing that cannot be encoded
	return append(b, encoded...)
}

var daemonSetKind = schema.GroupKind{Group: "apps", Kind: "DaemonSet"}

// appendWarnings appends the warnings, each on one line and within the limits.
func appendWarnings(b []byte, warnings []string) []byte {
	if len(warnings) == 0 {
		return b
	}
	b = append(b, `,"warnings":[`...)
	left := maxWarnings
	for i, warning := range warnings {
		if strings.ContainsFunc(warning, unicode.IsControl) {
			warning = strings.Join(strings.Fields(warning), " ")
		}
		warning = shorten(warning, maxWarning)
		if left -= len(warning); left < 0 {
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, warning)
	}
	return append(b, ']')
}

func appendAnnotations(b []byte, annotations []annotation) []byte {
	if len(annotations) == 0 {
		return b
	}
	b = append(b, `,"auditAnnotations":{`...)
	for i, a := range annotations {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, a.key), ':')
		b = appendString(b, a.value)
	}
	return append(b, '}')
}

// appendString appends a JSON string. Nearly all that berth says is plain ASCII; encoding/json does the rest.
func appendString(b []byte, text string) []byte {
	start := len(b)
	b = append(b, '"')
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c > '~' {
			encoded, _ := json.Marshal(text) // a string always encodes
			return append(b[:start], encoded...)
		}
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}
