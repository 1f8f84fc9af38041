package placement

import (
	"fmt"
	"slices"
	"strings"

	"berth.dev/berth/api/v1alpha1"
)

// maxWarning is the length in bytes to which a warning is cut. The API server
// asks webhooks for at most 120 characters each
// (k8s.io/api/admission/v1 AdmissionResponse.warnings).
const maxWarning = 120

// maxWarnings is how many warnings one request gets: more are not read.
const maxWarnings = 3

// warnings says what the user should know of an outcome that is let through,
// the most important first.
func (o *Outcome) warnings() []string {
	var warnings []string
	for _, v := range o.Violations {
		if len(warnings) == maxWarnings {
			break
		}
		if !slices.Contains(v.Actions, v1alpha1.Warn) {
			continue
		}
		text := v.warning
		if text == "" {
			// The cure first: the path of a node affinity alone is longer than a warning.
			text = v.Detail + " (" + v.Field + ")"
		}
		if text = cut(text); !slices.Contains(warnings, text) {
			warnings = append(warnings, text)
		}
	}
	if taken := o.takenBack(); len(taken) > 0 && len(o.Patch) > 0 {
		warnings = append(warnings, cut("takes back what no policy requires any more: "+strings.Join(taken, ", ")))
	}
	if o.survey.Eligible > 0 {
		said := func(warning string) bool { return strings.Contains(warning, o.survey.Taint.Taint) }
		if taint := &o.survey.Taint; taint.worthAWarning() && !slices.ContainsFunc(warnings, said) {
			warnings = append(warnings, cut(taint.warning()))
		}
		if split := o.survey.Split; split.Pool != "" {
			warnings = append(warnings, cut(fmt.Sprintf("matches %d of %d nodes of pool %s: label the pool, not its nodes, or new nodes will not match",
				split.Selected, split.Total, split.Pool)))
		}
	}
	return warnings[:min(len(warnings), maxWarnings)]
}

// worthAWarning says whether the taint may be forgotten by whoever wrote the
// template: those of control planes and of nodes out of service are meant.
func (t *TaintCount) worthAWarning() bool {
	return t.Nodes > 0 && !strings.HasPrefix(t.Taint, "node-role.kubernetes.io/") && !strings.HasPrefix(t.Taint, lifecycleTaints)
}

func (t *TaintCount) warning() string {
	more := "1 more node has"
	if t.Nodes > 1 {
		more = fmt.Sprintf("%d more nodes have", t.Nodes)
	}
	return fmt.Sprintf("%s the labels, and the untolerated taint %s: add a toleration if it is to run there", more, t.Taint)
}

// takenBack is what is not replaced by another value of the same label.
func (o *Outcome) takenBack() []string {
	var texts []string
	for _, r := range o.removed {
		if o.after.claims.label(r.key) == nil {
			texts = append(texts, r.text)
		}
	}
	return texts
}

// cut shortens a warning to what the API server takes.
func cut(text string) string { return cutTo(maxWarning, text) }

// cutTo shortens a text to a number of bytes.
func cutTo(limit int, text string) string {
	if len(text) <= limit {
		return text
	}
	const ellipsis = "..."
	return strings.ToValidUTF8(text[:limit-len(ellipsis)], "") + ellipsis
}
