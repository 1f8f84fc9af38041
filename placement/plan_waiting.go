package placement

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// What waits for the next change of the template asks for nothing at this write. But
// what the policies that act would write against it contradicts it all the same: now
// or with that change. So it is a contradiction now, and nothing is written.

// awaiting returns those of the policies that wait on a write which act with the next
// change of the template.
func awaiting(waiting []applicable) []applicable {
	if len(waiting) == 0 {
		return nil
	}
	return filter(waiting, func(a applicable) bool { return !a.unmet && a.updatePolicy == v1alpha1.UpdateOnTemplateChange })
}

// awaited is what these policies require.
func (e *evaluation) awaited() required {
	if len(e.acting) == 0 || len(e.awaiting) == 0 {
		return required{}
	}
	return collect(e.awaiting, e.object)
}

// contradicts says whether labels of one key that are required, sorted by value, are
// others than those that policies which wait require of it.
func contradicts(wishes, awaited []label) bool {
	return len(awaited) > 0 && (awaited[0].value != wishes[0].value || awaited[len(awaited)-1].value != wishes[0].value)
}

// contradictsLabel says whether what is required of a key is another label than what is awaited.
func (r *required) contradictsLabel(key string, awaited *required) bool {
	wishes := r.labelsOf(key)
	return len(wishes) > 0 && contradicts(wishes, awaited.labelsOf(key))
}

// contradictsAwaited returns an error where no node could match any more what is
// written now together with what waits, of the keys of which anything is written.
// before is the template without what is written now: what its author says against
// what waits is no contradiction of two policies.
func (p *plan) contradictsAwaited(before *hands, wanted, awaited *required) (culprit corev1.NodeSelectorRequirement, err *field.Error) {
	if len(awaited.labels)+len(awaited.requirements) == 0 {
		return culprit, nil
	}
	written := map[string]bool{}
	for i := range p.items {
		switch of := &p.items[i]; {
		case of.outcome != Added && of.outcome != Replaced:
		case of.label != nil:
			written[of.label.key] = true
		case of.requirement != nil:
			written[of.requirement.Key] = true
		}
	}
	rest := required{
		labels:       filter(awaited.labels, func(l label) bool { return written[l.key] }),
		requirements: filter(awaited.requirements, func(r requirement) bool { return written[r.Key] }),
	}
	if len(rest.labels)+len(rest.requirements) == 0 {
		return culprit, nil
	}
	all := required{requirements: merged(rest.requirements, filter(wanted.requirements, func(r requirement) bool { return written[r.Key] }), compareWishes)}
	then := rest.addedTo(&p.after)
	if culprit, err = findContradiction(&then, &all); err == nil {
		return culprit, nil
	}
	already := rest.addedTo(before)
	if by, contradiction := findContradiction(&already, &rest); contradiction != nil && by.Key == culprit.Key {
		return culprit, nil
	}
	// Once more, for the words.
	all.labels = merged(rest.labelsOf(culprit.Key), wanted.labelsOf(culprit.Key), compareLabels)
	return findContradiction(&then, &all)
}

// merged returns what is in two sorted lists, sorted.
func merged[T any](a, b []T, compare func(a, b T) int) []T {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, compare)
	return all
}

// addedTo is a template with labels and expressions that are required.
func (r *required) addedTo(h *hands) hands {
	with := planLabels(*h, r.labels, nil).after
	return planRequirements(with, r.requirements).after
}
