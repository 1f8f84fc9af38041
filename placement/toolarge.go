package placement

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// TooLarge is the decision on a DaemonSet that is beyond the limits of what berth
// reads: err is a violation of every policy for the namespace whose objectSelector
// selects it. Of whoever's labels are not known (nil), every policy counts.
func (n InNamespace) TooLarge(objectLabels, oldLabels labels.Set, err *field.Error) Decision {
	var enforced, all []*policy
	for _, p := range n.list {
		if objectLabels != nil && !p.objectSelector.Matches(objectLabels) && (oldLabels == nil || !p.objectSelector.Matches(oldLabels)) {
			continue
		}
		all = append(all, p)
		if p.mode == v1alpha1.ModeEnforce {
			enforced = append(enforced, p)
		}
	}
	decision := Decision{Outcome: violatedBy(enforced, err)}
	if len(all) > len(enforced) {
		audited := violatedBy(all, err)
		decision.Audited = &audited
	}
	return decision
}

func violatedBy(policies []*policy, err *field.Error) Outcome {
	outcome := Outcome{Policies: namesOf(policies)}
	for _, p := range policies {
		outcome.Violations = append(outcome.Violations, p.violation(err))
	}
	outcome.Warnings = outcome.warnings()
	return outcome
}
