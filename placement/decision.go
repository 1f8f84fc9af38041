package placement

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// Input is one DaemonSet on its way into the cluster. Of DaemonSet and Old only
// these are read: name, labels, annotations and deletionTimestamp; spec.selector;
// the pod template's labels, nodeName, hostNetwork, nodeSelector, tolerations and
// affinity.nodeAffinity.
// For a patch that applies, the raw object has to have the objects metadata,
// spec, spec.template and spec.template.spec, and Affinity has to be nil exactly
// where the raw object has none.
type Input struct {
	// DaemonSet is the object as it would be stored.
	DaemonSet *appsv1.DaemonSet
	// Old is the object as it is stored; nil on creation.
	Old *appsv1.DaemonSet
	// TemplateChanged says whether DaemonSet differs from Old anywhere in
	// spec.template, also where placement does not read. It counts on updates only.
	TemplateChanged bool
	// Nodes is the cluster's nodes; nil when they are not known.
	Nodes Nodes

	// missing is set where there are policies that berth cannot read.
	missing bool
	// others are policies that do not count in this decision, but may at another.
	others []*policy
}

// Decision is what the policies want of one DaemonSet.
type Decision struct {
	// Outcome is what the policies in mode Enforce want.
	Outcome
	// Audited is what all policies together would want if those in mode Audit
	// were enforced too; nil when no policy in mode Audit applies.
	Audited *Outcome
}

// Outcome is what a set of policies wants of one DaemonSet. It is the zero
// value when no policy applies.
type Outcome struct {
	// Policies is the names of the policies that apply, sorted.
	Policies []string
	// Patch makes the DaemonSet comply, as far as the violations allow.
	Patch Patch
	// Violations is what no patch of berth's can put right.
	Violations []Violation
	// Warnings is what the user should know, each at most 120 characters. It holds
	// the violations of policies whose validationActions say Warn.
	Warnings []string
}

// Violation is one way in which a DaemonSet breaks a policy.
type Violation struct {
	*field.Error
	// Policy is the name of the policy that it breaks.
	Policy string
	// Actions is what that policy says happens.
	Actions []v1alpha1.ValidationAction

	// warning is what a warning of it says; empty means the error's detail.
	warning string
}

// Denied returns the violations for which the request is denied; nil when it is
// allowed.
func (o Outcome) Denied() field.ErrorList {
	var denied field.ErrorList
	for _, v := range o.Violations {
		if slices.Contains(v.Actions, v1alpha1.Deny) {
			denied = append(denied, v.Error)
		}
	}
	return denied
}

// Leftover returns an error for each operation of the patch. The validating
// webhook denies with them: the mutating webhook has been called before it, so
// something has taken away since what a policy requires.
func (o Outcome) Leftover() field.ErrorList {
	var errs field.ErrorList
	for _, op := range o.Patch {
		if wanted := op.wanted.String(); wanted != "" {
			errs = append(errs, field.Required(op.field, wanted+
				", and it was not there any more after mutation: try again; if it stays so, another mutating webhook takes it away"))
		}
	}
	return errs
}
