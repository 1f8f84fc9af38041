package admission

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// Answer is what a webhook says of a request that it could decide.
type Answer struct {
	Result Result
	// Policies names those that had something to do with it.
	Policies []string
	Patch    placement.Patch
	// Denied is why the request is denied; empty where it is allowed.
	Denied   field.ErrorList
	Warnings []string
	// AuditedPatch and AuditedDenial say that policies in mode Audit would have patched otherwise, or denied.
	AuditedPatch, AuditedDenial bool
	// annotations is for the API server's audit log. It puts the webhook's name before each key.
	annotations []annotation
}

// Result is how a request was decided.
type Result int

// The results of requests.
const (
	// AllowedNoPolicy: no policy is for the namespace, and berth has written nothing into the object.
	AllowedNoPolicy Result = iota
	// AllowedOutOfScope: the request cannot change where a DaemonSet runs.
	AllowedOutOfScope
	// AllowedCompliant: there is nothing to do.
	AllowedCompliant
	// AllowedLeftover: the object lacks what berth would have written, and is stored all the same.
	AllowedLeftover
	// Patched: with the patch, the object complies.
	Patched
	// DeniedViolation: the object does not comply, and no patch helps.
	DeniedViolation
	// DeniedLimit: there is more of the object than berth reads.
	DeniedLimit
	// AllowedLimit: the same, and no policy denies.
	AllowedLimit
	// DeniedLeftover: the final object is not what the mutating webhook made of it.
	DeniedLeftover
)

// A denial says more than anybody reads before mending the first cause, and no more than that.
const (
	maxCauses = 100
	// maxCausesSize is for all of them together, in bytes of JSON. Each stands in the answer twice.
	maxCausesSize = 24 << 10
)

// Causes is what the client is told of why the request is denied.
func (a *Answer) Causes() field.ErrorList {
	size := 0
	for i, cause := range a.Denied[:min(len(a.Denied), maxCauses)] {
		if size += sizeInJSON(cause.Error()); size > maxCausesSize && i > 0 {
			return a.Denied[:i]
		}
	}
	return a.Denied[:min(len(a.Denied), maxCauses)]
}

// sizeInJSON is at least how many bytes encoding/json makes of a text.
func sizeInJSON(text string) (size int) {
	for _, c := range []byte(text) {
		switch {
		case c == '"', c == '\\', c > '~':
			size += 2
		case c < ' ', c == '<', c == '>', c == '&':
			size += len(`\u0000`)
		default:
			size++
		}
	}
	return size
}

type annotation struct{ key, value string }

// maxAnnotation bounds what one request can write into the audit log under one key.
const maxAnnotation = 4096

// annotate adds what policies have to do with an outcome, unless that is nothing.
func (a *Answer) annotate(prefix string, outcome *placement.Outcome, violations []string) {
	if len(outcome.Patch)+len(outcome.Violations) == 0 {
		return
	}
	add := func(key, value string) {
		a.annotations = append(a.annotations, annotation{prefix + key, shorten(value, maxAnnotation)})
	}
	add("policies", strings.Join(outcome.Policies, ","))
	if len(violations) > 0 {
		add("violations", strings.Join(violations, "; "))
	}
}

// violations lists those of the outcome that keep passes.
func violations(outcome *placement.Outcome, keep func(placement.Violation) bool) []string {
	var messages []string
	for _, v := range outcome.Violations {
		if keep(v) {
			messages = append(messages, "policy "+v.Policy+": "+v.Error.Error())
		}
	}
	return messages
}

func audits(v placement.Violation) bool { return slices.Contains(v.Actions, v1alpha1.Audit) }

func anyViolation(placement.Violation) bool { return true }

// audit reports what policies in mode Audit would have done, which is all that they do.
func (a *Answer) audit(decision *placement.Decision) {
	a.annotate("", &decision.Outcome, violations(&decision.Outcome, audits))
	audited := decision.Audited
	if audited == nil {
		return
	}
	a.annotate("audit-", audited, violations(audited, anyViolation))
	if len(audited.Patch) > 0 {
		// The API server logs the patches that it gets by itself; this one it does not get.
		a.annotations = append(a.annotations, annotation{"audit-patch", shorten(string(audited.Patch.AppendJSON(nil)), maxAnnotation)})
	}
	switch {
	case len(audited.Denied()) > 0 && len(decision.Denied()) == 0:
		a.AuditedDenial = true
	case !bytes.Equal(audited.Patch.AppendJSON(nil), decision.Patch.AppendJSON(nil)):
		a.AuditedPatch = true
	}
}

// Shorten cuts a text of a client's to what is shown of one, at a character's border.
func Shorten(text string) string { return shorten(text, 4*maxShown) }

// shorten cuts a text to a number of bytes, at a character's border.
func shorten(text string, limit int) string {
	const ellipsis = "..."
	if len(text) <= limit {
		return text
	}
	end := limit - len(ellipsis)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
