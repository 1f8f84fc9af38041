package webhook

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the API server takes of warnings, by the documentation of AdmissionResponse.warnings.
const (
	maxWarning  = 120
	maxWarnings = 4096
)

// encode leaves the AdmissionReview that says a in x.out.
func (x *exchange) encode(a *answer) {
	b := x.out[:0]
	b = append(b, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`...)
	b = append(b, x.review.rawUID()...)
	if len(a.denied) > 0 {
		b = append(b, `,"allowed":false,"status":`...)
		b = appendDenial(b, x.review.displayName(), a.denied)
	} else {
		b = append(b, `,"allowed":true`...)
	}
	if len(a.patch) > 0 {
		x.scratch = a.patch.AppendJSON(x.scratch[:0])
		b = append(b, `,"patchType":"JSONPatch","patch":"`...)
		b = base64.StdEncoding.AppendEncode(b, x.scratch)
		b = append(b, '"')
	}
	b = appendWarnings(b, a.warnings)
	b = appendAnnotations(b, a.annotations)
	b = append(b, `}}`...)
	x.out = b
}

// maxCauses is more than anybody reads before mending the first.
const maxCauses = 100

// appendDenial appends the Status that the API server itself would answer, so that kubectl prints every cause.
func appendDenial(b []byte, name string, denied field.ErrorList) []byte {
	return appendStatus(b, apierrors.NewInvalid(daemonSetKind, name, denied[:min(len(denied), maxCauses)]).Status())
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

// appendFailure appends the Status that goes with an HTTP error, which client-go shows to the user. There is no
// AdmissionReview to put the request's UID in: it is in the details.
func appendFailure(b []byte, f *failure, uid string) []byte {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Message:  f.message,
		Reason:   f.reason,
		Code:     int32(f.code), //nolint:gosec // an HTTP status code
	}
	if uid != "" {
		status.Details = &metav1.StatusDetails{UID: types.UID(uid)}
	}
	if f.code == http.StatusServiceUnavailable {
		if status.Details == nil {
			status.Details = &metav1.StatusDetails{}
		}
		status.Details.RetryAfterSeconds = retryAfterSeconds
	}
	return appendStatus(b, status)
}

func appendStatus(b []byte, status metav1.Status) []byte {
	encoded, _ := json.Marshal(status) // a Status holds nothing that cannot be encoded
	return append(b, encoded...)
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
