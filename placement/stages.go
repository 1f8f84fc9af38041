package placement

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// The stages of a question, each a type of its own, so that none can be
// forgotten: Policies → InNamespace → Applicable → Decision.

// Policies is a compiled set of PlacementPolicies, in the order of their names.
// The zero value is the empty set.
type Policies struct{ list []*policy }

// InNamespace is the policies for the DaemonSets of one namespace.
type InNamespace struct{ list []*policy }

// Applicable is the policies that have anything to say of one DaemonSet.
type Applicable struct{ list []applicable }

// applicable is a policy that selects an object.
type applicable struct {
	*policy
	// unmet says that its matchConditions are not met. Then it asks for nothing,
	// but what it injected at another request stays.
	unmet bool
	// failed is why nobody knows what the policy requires: it is invalid, or its
	// matchConditions have no answer.
	failed *field.Error
	// selectedOld says that its objectSelector selects the stored object as well, and
	// metByOld asks whether that one is known to meet its matchConditions; nil: it has none.
	selectedOld bool
	metByOld    func() bool
}

// Reason is why a policy does not act on a DaemonSet; empty where it acts.
type Reason string

// The reasons, in the order in which they are looked at.
const (
	ReasonNamespace Reason = "its namespaceSelector does not select the namespace"
	ReasonOptedOut  Reason = "the namespace opts out with an empty annotation"
	ReasonNothing   Reason = "it asks nothing of this DaemonSet"
	ReasonObject    Reason = "its objectSelector does not select the DaemonSet"
	ReasonCondition Reason = "its matchConditions are not met"
	ReasonUpdate    Reason = "its updatePolicy does not act on this update"
	ReasonAuditMode Reason = "it is in mode Audit"
)

// Excluded is a policy that does not act, and why.
type Excluded struct {
	Policy string
	Reason Reason
}

// Len returns the number of policies.
func (p Policies) Len() int { return len(p.list) }

// Names returns the names of the policies, sorted.
func (p Policies) Names() []string { return namesOf(p.list) }

// InNamespace returns the policies for the DaemonSets of a namespace: those
// whose namespaceSelector selects it and which it does not opt out of, with its
// annotations read.
func (p Policies) InNamespace(ns Namespace) InNamespace {
	var selected InNamespace
	read := newReadNamespace(ns)
	for _, policy := range p.list {
		if bound, reason := policy.in(read); reason == "" {
			selected.list = append(selected.list, bound)
		}
	}
	return selected
}

// Excluded returns the policies that InNamespace leaves out, in the order of names.
func (p Policies) Excluded(ns Namespace) []Excluded {
	var excluded []Excluded
	read := newReadNamespace(ns)
	for _, policy := range p.list {
		if _, reason := policy.in(read); reason != "" {
			excluded = append(excluded, Excluded{policy.name, reason})
		}
	}
	return excluded
}

// in returns the policy as it is in a namespace, or why it is not for it.
func (p *policy) in(ns *readNamespace) (*policy, Reason) {
	if !p.namespaceSelector.Matches(labels.Set(ns.Labels)) {
		return nil, ReasonNamespace
	}
	bound, optedOut := p.bind(ns)
	if optedOut {
		return nil, ReasonOptedOut
	}
	return bound, ""
}

// Len returns the number of policies.
func (n InNamespace) Len() int { return len(n.list) }

// Names returns the names of the policies, sorted.
func (n InNamespace) Names() []string { return namesOf(n.list) }

// Conditional says whether any policy has matchConditions.
func (n InNamespace) Conditional() bool {
	return slices.ContainsFunc(n.list, func(p *policy) bool { return p.conditional })
}

// ActsWithoutChange says whether any policy acts on an update that leaves the
// template alone.
func (n InNamespace) ActsWithoutChange() bool {
	return slices.ContainsFunc(n.list, func(p *policy) bool { return p.updatePolicy == v1alpha1.UpdateAlways })
}

// Conditions answers whether the matchConditions of a policy are met, by the new
// object or by the stored one in its place. An error is a failure of that policy,
// and goes the way of its failurePolicy.
type Conditions func(policy string, by Which) (met bool, err error)

// Which is one of the two objects of a question.
type Which int

// The objects of a question.
const (
	New Which = iota
	Old
)

// Select returns the policies that have anything to say of an object: whose
// objectSelector selects it or the stored one (nil: there is none), so that
// taking a label off does not evade it. It asks conditions about each of them
// that has matchConditions.
func (n InNamespace) Select(object, old *Object, conditions Conditions) Applicable {
	var selected Applicable
	for _, policy := range n.list {
		if policy.selects(object, old) != "" {
			continue
		}
		a := applicable{policy: policy, selectedOld: old != nil && policy.selectsLabels(old)}
		if policy.conditional {
			a.answer(conditions)
		}
		if policy.invalid != nil && !a.unmet {
			a.failed = policy.invalid
		}
		selected.list = append(selected.list, a)
	}
	return selected
}

// Excluded returns the policies that Select leaves out, in the order of names.
func (n InNamespace) Excluded(object, old *Object) []Excluded {
	var excluded []Excluded
	for _, policy := range n.list {
		if reason := policy.selects(object, old); reason != "" {
			excluded = append(excluded, Excluded{policy.name, reason})
		}
	}
	return excluded
}

func (a *applicable) answer(conditions Conditions) {
	if conditions == nil {
		a.failed = unanswered("its matchConditions were not evaluated")
		return
	}
	met, err := conditions(a.name, New)
	a.unmet = err == nil && !met
	if err != nil {
		a.failed = unanswered(err.Error())
	}
	a.metByOld = askOnce(conditions, a.name)
}

func askOnce(conditions Conditions, name string) func() bool {
	asked, known := false, false
	return func() bool {
		if !asked {
			met, err := conditions(name, Old)
			asked, known = true, met && err == nil
		}
		return known
	}
}

// mayComeIntoScope says, at little cost, whether an update may bring the object
// into the policy's scope.
func (a *applicable) mayComeIntoScope(q *Question) bool {
	return q.Old != nil && (q.OldExcluded || !a.selectedOld || a.metByOld != nil)
}

// comesIntoScope says whether an update brings the object into the policy's
// scope: by its priority class, its labels, or a matchCondition. What comes into
// scope is as new: what it has been until now excuses nothing.
func (a *applicable) comesIntoScope(q *Question) bool {
	if !a.mayComeIntoScope(q) || a.unmet {
		return false
	}
	if q.OldExcluded || !a.selectedOld {
		return true
	}
	// Where its conditions fail, nobody knows whether the object is in scope now.
	return a.failed == nil && !a.metByOld()
}

// unanswered is the failure of a policy of which nobody knows whether it applies.
func unanswered(why string) *field.Error {
	return field.Forbidden(field.NewPath("metadata"), why+": ask a cluster admin to mend the policy")
}

// selects returns why the policy has nothing to say of the object.
func (p *policy) selects(object, old *Object) Reason {
	if !p.conditional && !p.asks(object) && (old == nil || !p.asks(old)) {
		return ReasonNothing
	}
	if !p.selectsLabels(object) && (old == nil || !p.selectsLabels(old)) {
		return ReasonObject
	}
	return ""
}

// asks says whether the policy has anything to ask of an object. One without any
// source is a guard of its nodes: that asks always. So does one that is invalid.
func (p *policy) asks(object *Object) bool {
	return p.invalid != nil || len(p.tolerations) > 0 || len(p.sources) == 0 ||
		slices.ContainsFunc(p.sources, func(s source) bool { return s.asks(object) })
}

func (p *policy) selectsLabels(object *Object) bool {
	return p.objectSelector.Matches(labels.Set(object.Labels))
}

// waits returns why the policy does not act on a write, which changes the
// template or not.
func (a *applicable) waits(q *Question, changed bool) Reason {
	switch {
	case a.unmet:
		return ReasonCondition
	case q.Old == nil || a.updatePolicy == v1alpha1.UpdateAlways:
		return ""
	case changed && (a.updatePolicy == v1alpha1.UpdateOnTemplateChange || a.comesIntoScope(q)):
		return ""
	}
	return ReasonUpdate
}

func namesOf(list []*policy) []string {
	names := make([]string, len(list))
	for i, policy := range list {
		names[i] = policy.name
	}
	return names
}
