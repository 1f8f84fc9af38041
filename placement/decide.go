package placement

import (
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
	decision := Decision{Outcome: decide(enforced, in)}
	if len(all) > len(enforced) {
		audited := decide(all, in)
		decision.Audited = &audited
	}
	return decision
}

// selects says whether the old or the new object matches, so that taking a
// label off does not evade the policy.
func (p *policy) selects(in Input) bool {
	return p.objectSelector.Matches(labels.Set(in.DaemonSet.Labels)) ||
		in.Old != nil && p.objectSelector.Matches(labels.Set(in.Old.Labels))
}

func decide(policies []*policy, in Input) Outcome {
	if len(policies) == 0 {
		return Outcome{}
	}
	var outcome Outcome
	for _, p := range policies {
		outcome.Policies = append(outcome.Policies, p.name)
	}
	// What is on its way out must be let go, and what leaves the template alone
	// must not roll a fleet.
	if in.DaemonSet.DeletionTimestamp != nil || in.Old != nil && !in.TemplateChanged {
		return outcome
	}
	d := draft{policies: policies, daemonSet: in.DaemonSet, record: readRecord(in.DaemonSet)}
	d.final = corev1.PodSpec{
		NodeSelector: in.DaemonSet.Spec.Template.Spec.NodeSelector,
		Affinity:     in.DaemonSet.Spec.Template.Spec.Affinity,
	}
	if d.checkShape() {
		d.require(collect(policies, in.DaemonSet))
	}
	if len(d.violations) > 0 && in.Old != nil && samePlacement(in.Old, in.DaemonSet) {
		// The ratchet: the object broke the policy before, and this update does not
		// touch what placement reads. Let it through, and say so.
		for i := range d.violations {
			d.violations[i].Actions = ratcheted(d.violations[i].Actions)
		}
		d.patch = nil
	}
	outcome.Violations = d.violations
	if outcome.Denied() == nil {
		outcome.Patch = d.patch
		outcome.Warnings = d.warnings(in.Nodes)
	}
	return outcome
}

// ratcheted is actions with Deny taken back to Warn.
func ratcheted(actions []v1alpha1.ValidationAction) []v1alpha1.ValidationAction {
	relaxed := slices.Clone(actions)
	if i := slices.Index(relaxed, v1alpha1.Deny); i >= 0 {
		relaxed[i] = v1alpha1.Warn
	}
	return relaxed
}

// samePlacement says whether two objects agree in all that placement reads of
// the template and the selector.
func samePlacement(a, b *appsv1.DaemonSet) bool {
	aPod, bPod := &a.Spec.Template.Spec, &b.Spec.Template.Spec
	return aPod.NodeName == bPod.NodeName &&
		equality.Semantic.DeepEqual(aPod.NodeSelector, bPod.NodeSelector) &&
		equality.Semantic.DeepEqual(requiredNodeAffinity(aPod.Affinity), requiredNodeAffinity(bPod.Affinity)) &&
		equality.Semantic.DeepEqual(a.Spec.Selector, b.Spec.Selector) &&
		equality.Semantic.DeepEqual(a.Spec.Template.Labels, b.Spec.Template.Labels)
}

func requiredNodeAffinity(affinity *corev1.Affinity) *corev1.NodeSelector {
	if affinity == nil || affinity.NodeAffinity == nil {
		return nil
	}
	return affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}
