package placement

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"

	"berth.dev/berth/api/v1alpha1"
)

// Decide says what the policies want of one DaemonSet: the patch that makes it
// comply, and what no patch can put right. The caller has selected the policies
// with For; Decide applies their objectSelectors.
func (p Policies) Decide(in Input) Decision {
	in.missing = p.incomplete
	var enforced, all []*policy
	for _, policy := range p.list {
		if !policy.selects(in) {
			continue
		}
		all = append(all, policy)
		if policy.mode == v1alpha1.ModeEnforce {
			enforced = append(enforced, policy)
		}
	}
	in.others = slices.Concat(p.idle, without(all, enforced))
	decision := Decision{Outcome: decide(enforced, in)}
	if len(all) > len(enforced) {
		in.others = p.idle
		audited := decide(all, in)
		decision.Audited = &audited
	}
	return decision
}

// without returns the policies of all that are not among some.
func without(all, some []*policy) []*policy {
	return slices.DeleteFunc(slices.Clone(all), func(p *policy) bool { return slices.Contains(some, p) })
}

// selects says whether the policy has anything to say of the DaemonSet, and
// whether the old or the new object matches, so that taking a label off does not
// evade it.
func (p *policy) selects(in Input) bool {
	if !p.conditional && len(p.tolerations) == 0 &&
		!slices.ContainsFunc(p.sources, func(s source) bool { return s.asks(in.DaemonSet) }) {
		return false
	}
	return p.objectSelector.Matches(labels.Set(in.DaemonSet.Labels)) ||
		in.Old != nil && p.objectSelector.Matches(labels.Set(in.Old.Labels))
}

func decide(policies []*policy, in Input) Outcome {
	var outcome Outcome
	for _, p := range policies {
		outcome.Policies = append(outcome.Policies, p.name)
	}
	if in.DaemonSet.DeletionTimestamp != nil || in.Old != nil && in.Old.DeletionTimestamp != nil {
		return outcome // What is on its way out must be let go.
	}
	d := newDraft(in)
	d.policies = acting(policies, in)
	if !in.missing && (in.Old == nil || in.TemplateChanged) {
		d.dropOrphans(policies, in.others)
	}
	if len(d.policies) > 0 && d.checkShape() {
		d.require(collect(d.policies, in.DaemonSet))
	}
	d.writeRecord()
	if len(d.policies) > 0 && len(d.violations) == 0 {
		d.checkNodes(in)
	}
	outcome.Violations = d.violations
	if outcome.Denied() != nil && in.Old != nil {
		d.ratchet(in.Old)
	}
	if outcome.Denied() == nil {
		outcome.Patch = d.patch
		outcome.Warnings = d.warnings()
	}
	return outcome
}

// acting returns the policies whose updatePolicy lets them act on this write.
func acting(policies []*policy, in Input) []*policy {
	if in.Old == nil {
		return policies
	}
	return slices.DeleteFunc(slices.Clone(policies), func(p *policy) bool {
		switch p.updatePolicy {
		case v1alpha1.UpdateAlways:
			return false
		case v1alpha1.UpdateOnTemplateChange:
			return !in.TemplateChanged
		case v1alpha1.UpdateCreateOnly:
		}
		return true
	})
}

// ratchet turns the denial of a violation into a warning.
func (v *Violation) ratchet() {
	if i := slices.Index(v.Actions, v1alpha1.Deny); i >= 0 {
		v.Actions = slices.Clone(v.Actions)
		v.Actions[i] = v1alpha1.Warn
		v.warning = "not applied: " + cmp.Or(v.warning, v.Detail)
	}
}

// ratchet lets an update through that leaves the placement as it is stored: it
// must not fail for what it does not touch. That is so where the patch only puts
// back what the update took away, and where the update touches nothing that
// placement reads; then it is stored as it came.
func (d *draft) ratchet(old *appsv1.DaemonSet) {
	switch {
	case d.agrees(old, &d.final):
	case d.agrees(old, &d.daemonSet.Spec.Template.Spec):
		d.patch = nil
	default:
		return
	}
	for i := range d.violations {
		d.violations[i].ratchet()
	}
}

// agrees says whether the pod spec, with the selector and the template's labels,
// agrees with the old object in all that placement reads.
func (d *draft) agrees(old *appsv1.DaemonSet, pod *corev1.PodSpec) bool {
	was, is := &old.Spec, &d.daemonSet.Spec
	wasPod := &was.Template.Spec
	return wasPod.NodeName == pod.NodeName &&
		wasPod.HostNetwork == pod.HostNetwork &&
		equality.Semantic.DeepEqual(wasPod.Tolerations, pod.Tolerations) &&
		equality.Semantic.DeepEqual(wasPod.NodeSelector, pod.NodeSelector) &&
		equality.Semantic.DeepEqual(requiredNodeAffinity(wasPod.Affinity), requiredNodeAffinity(pod.Affinity)) &&
		equality.Semantic.DeepEqual(was.Selector, is.Selector) &&
		equality.Semantic.DeepEqual(was.Template.Labels, is.Template.Labels)
}

func requiredNodeAffinity(affinity *corev1.Affinity) *corev1.NodeSelector {
	if affinity == nil || affinity.NodeAffinity == nil {
		return nil
	}
	return affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}
