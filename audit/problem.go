package audit

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// The reason and the action of an Event on a DaemonSet that stops complying.
const (
	reasonViolation = "PlacementViolation"
	actionAudit     = "Audit"
)

// maxNote is the length in bytes of an Event's note that the API server takes
// (k8s.io/kubernetes pkg/apis/core/validation NoteLengthLimit).
const maxNote = 1024

// problem is why a DaemonSet does not comply with the policies in mode Enforce.
type problem struct {
	daemonSet *appsv1.DaemonSet
	// policy is the first that it does not comply with.
	policy string
	// note names the field, and the cure.
	note string
}

// newProblem takes what the Event says from the verdicts; nil is nothing. It
// passes over policies in mode Audit, whose admin wants to look before anybody
// is troubled, and over those that leave alone what exists (CreateOnly).
func newProblem(ds *appsv1.DaemonSet, verdicts []placement.Verdict) *problem {
	var found *problem
	more := 0
	for i := range verdicts {
		v := &verdicts[i]
		if v.Mode == v1alpha1.ModeAudit {
			continue
		}
		var wanted field.ErrorList
		if v.Changes() {
			wanted = v.Wanted()
		}
		notes := len(wanted) + len(v.Violations)
		if found == nil && notes > 0 {
			found = &problem{daemonSet: ds, policy: v.Policy, note: firstNote(ds, wanted, v.Violations, denial(verdicts, v.Mode))}
			notes--
		}
		more += notes
	}
	if found != nil {
		found.note = shorten(maxNote, found.note, more)
	}
	return found
}

// firstNote says the first of what a policy requires and the DaemonSet lacks, or of
// its violations.
func firstNote(ds *appsv1.DaemonSet, wanted, violations field.ErrorList, denied *field.Error) string {
	if len(wanted) == 0 {
		return violations[0].Error()
	}
	return fmt.Sprintf("%s: %s, and the DaemonSet was written before that was in force: %s", wanted[0].Field, wanted[0].Detail, advice(ds, denied))
}

// advice is how a DaemonSet gets what it lacks.
func advice(ds *appsv1.DaemonSet, denied *field.Error) string {
	if denied != nil {
		return "berth would add it when the pod template changes next, but that is denied as things stand: " + denied.Error()
	}
	return fmt.Sprintf("berth adds it when the pod template changes next; to have it now: kubectl rollout restart daemonset -n %s %s", ds.Namespace, ds.Name)
}

// denial returns why the next change of the pod template is denied, nil if it is
// not. Policies in mode Audit deny only for those who ask what would be if they
// were enforced.
func denial(verdicts []placement.Verdict, mode v1alpha1.Mode) *field.Error {
	for i := range verdicts {
		v := &verdicts[i]
		if v.Denied != nil && (v.Mode != v1alpha1.ModeAudit || mode == v1alpha1.ModeAudit) {
			return v.Denied
		}
	}
	return nil
}

// shorten cuts a text to a number of bytes, and says how many more there are.
func shorten(limit int, text string, more int) string {
	rest := ""
	if more > 0 {
		rest = fmt.Sprintf(" (and %d more)", more)
	}
	if room := limit - len(rest); len(text) > room {
		text = strings.ToValidUTF8(text[:room-len("...")], "") + "..."
	}
	return text + rest
}

// regarding names the DaemonSet for an Event: the one in memory has no kind.
func (p *problem) regarding() *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "DaemonSet",
		Namespace: p.daemonSet.Namespace, Name: p.daemonSet.Name,
		UID: p.daemonSet.UID, ResourceVersion: p.daemonSet.ResourceVersion,
	}
}

// related names the policy for an Event.
func (p *problem) related() *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "PlacementPolicy", Name: p.policy}
}
