package webhook

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// answer is what a webhook says of a request that it could decide.
type answer struct {
	result   result
	policies []string
	patch    placement.Patch
	denied   field.ErrorList
	warnings []string
	// annotations is for the API server's audit log. It puts the webhook's name before each key.
	annotations []annotation
}

type annotation struct{ key, value string }

// maxAnnotation bounds what one request can write into the audit log under one key.
const maxAnnotation = 4096

// annotate adds what policies have to do with an outcome, unless that is nothing.
func (a *answer) annotate(prefix string, outcome *placement.Outcome, violations []string) {
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
func (e *endpoint) audit(a *answer, decision *placement.Decision) {
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
		e.metrics.auditedDenial.Inc()
	case !bytes.Equal(audited.Patch.AppendJSON(nil), decision.Patch.AppendJSON(nil)):
		e.metrics.auditedPatch.Inc()
	}
}

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
