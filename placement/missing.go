package placement

import "slices"

// missing says what each of the policies that wait would ask of a template if it
// acted alone: what is not there and could be added is Missing. There may be many
// policies, so the template is read once for all.
func missing(policies []applicable, object *readObject, t *Template) map[*policy][]item {
	if len(policies) == 0 || !object.checkShape().readable {
		return nil
	}
	wanted := collect(policies, object)
	byPolicy := make(map[*policy]*required, len(policies))
	of := func(p *policy) *required {
		if byPolicy[p] == nil {
			byPolicy[p] = &required{}
		}
		return byPolicy[p]
	}
	for _, l := range wanted.labels {
		own := of(l.policy)
		own.labels = append(own.labels, l)
	}
	for _, r := range wanted.requirements {
		own := of(r.policy)
		own.requirements = append(own.requirements, r)
	}
	for _, t := range wanted.tolerations {
		own := of(t.policy)
		own.tolerations = append(own.tolerations, t)
	}
	lacking, tolerated := lackingIn(t, wanted.requirements), newTolerationSet(t.Tolerations, keysOf(wanted.tolerations))
	items := make(map[*policy][]item, len(byPolicy))
	for p, own := range byPolicy {
		items[p] = slices.Concat(missingLabels(t, own.labels), missingRequirements(t, own.requirements, lacking), missingTolerations(tolerated, own.tolerations))
	}
	return items
}

func missingLabels(t *Template, wanted []label) []item {
	var items []item
	for rest := wanted; len(rest) > 0; {
		same := rest[:run(rest, sameKey)]
		rest = rest[len(same):]
		have, present := t.NodeSelector[same[0].key]
		d := decideLabel(same, nil, have, present)
		for i := range same {
			items = append(items, item{label: &same[i], outcome: d.outcome, other: d.other, policy: same[i].policy})
		}
	}
	leave(items)
	return items
}

func missingRequirements(t *Template, wanted []requirement, lacking lackingTerms) []item {
	added := 0
	for rest := wanted; len(rest) > 0; rest = rest[run(rest, sameWish):] {
		added += lacking.of(&rest[0])
	}
	terms, required := len(t.Affinity.Terms), t.Affinity.Required()
	items := make([]item, 0, len(wanted))
	for i := range wanted {
		r := &wanted[i]
		outcome := Present
		switch {
		case required && (terms == 0 || added > maxAdded):
			outcome = InConflict
		case !required || lacking.of(r) > 0:
			outcome = Missing
		}
		items = append(items, item{requirement: r, outcome: outcome, policy: r.policy})
	}
	return items
}

func missingTolerations(have tolerationSet, wanted []toleration) []item {
	items := make([]item, 0, len(wanted))
	for i := range wanted {
		outcome := Missing
		if have.covers(wanted[i].Toleration) {
			outcome = Present
		}
		items = append(items, item{toleration: &wanted[i], outcome: outcome, policy: wanted[i].policy})
	}
	return items
}

// lackingTerms says of expressions how many terms lack them.
type lackingTerms struct {
	index requirementIndex
	terms []int
}

func lackingIn(t *Template, wanted []requirement) lackingTerms {
	l := lackingTerms{index: newRequirementIndex(0)}
	distinct := 0
	for rest := wanted; len(rest) > 0; rest = rest[run(rest, sameWish):] {
		l.index.put(rest[0].NodeSelectorRequirement, distinct)
		distinct++
	}
	counts, matching := countTerms(&l.index, distinct, t)
	for i := range counts {
		counts[i] = matching - counts[i]
	}
	l.terms = counts
	return l
}

func (l *lackingTerms) of(r *requirement) int {
	place, _ := l.index.find(r.NodeSelectorRequirement)
	return l.terms[place]
}
