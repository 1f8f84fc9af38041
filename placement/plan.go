package placement

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// evaluation is one template on its way to what policies require of it.
type evaluation struct {
	// object is where the policies' sources are read.
	object *readObject
	// start is the template before, and stored what berth has in the stored one.
	start  hands
	stored claims
	// acting are the policies that act on this write, waiting the others that
	// select the object.
	acting, waiting []applicable
	// awaiting are those of waiting that act with the next change of the template.
	awaiting []applicable
	// changed says that the author changed the template, and contradicted that
	// policies have been put among waiting because of a contradiction.
	changed, contradicted bool
	// giveWay are the label keys of which a write that states berth's own values
	// makes none its author's: another is required, and no node can match both.
	giveWay keys
	// write is the write that the template comes with; nil where there is none.
	write *reading
}

// plan is what an evaluation comes to.
type plan struct {
	after      hands
	items      []item
	violations []Violation
	removed    []removal
}

// resolve takes back what nobody requires any more, and adds what is unmet.
func (e *evaluation) resolve() plan {
	wanted := collect(e.acting, e.object)
	var kept required
	if !e.start.claims.empty() || !e.stored.empty() {
		kept = collect(e.waiting, e.object)
	}
	awaited := e.awaited()
	var p plan
	released := e.released(&wanted, &kept, &awaited)
	p.after, p.removed = e.takeBack(&released)
	if e.changed && !e.stored.empty() {
		p.after = e.hold(p.after, &kept)
	}
	if len(e.acting) == 0 {
		return p
	}
	shape := e.object.checkShape()
	p.violations = e.violateAll(shape.errs)
	if !shape.readable {
		return p
	}
	for _, f := range wanted.failures {
		p.violations = append(p.violations, f.violation())
	}
	before := p.after
	p = p.with(planLabels(p.after, wanted.labels, &awaited))
	p = p.with(planRequirements(p.after, wanted.requirements))
	p = p.with(planTolerations(p.after, wanted.tolerations))
	p = p.fits(e)
	if len(wanted.labels)+len(wanted.requirements) == 0 {
		return p
	}
	culprit, contradiction := findContradiction(&p.after, &wanted)
	if contradiction == nil {
		culprit, contradiction = p.contradictsAwaited(&before, &wanted, &awaited)
	}
	if contradiction == nil {
		return p
	}
	if released.authors.about(culprit.Key) {
		rest := *e
		rest.giveWay = e.giveWay.and(culprit.Key)
		return rest.resolve()
	}
	blamed := e.requiring(&wanted, culprit.Key)
	violations := violate(blamed, field.ErrorList{contradiction})
	violations[0].whole = wholeOf(culprit)
	if !slices.ContainsFunc(blamed, applicable.denies) {
		// What only warns keeps no other policy from its effect.
		rest := e.without(blamed)
		others := rest.resolve()
		others.items = append(others.items, leftOf(p.items, rest.acting)...)
		others.violations = append(others.violations, violations...)
		return others
	}
	// A contradicted placement is no node: leave the template as it came.
	p.violations = append(p.violations, violations...)
	p.after, p.removed = e.start, nil
	leave(p.items)
	return p
}

// without is the evaluation in which policies that contradict something, and only
// warn of it, wait: what they have they keep. After the first contradiction all
// that do not deny wait, so that there are two at most.
func (e *evaluation) without(blamed []applicable) *evaluation {
	waits := func(a applicable) bool {
		return e.contradicted && !a.denies() || slices.ContainsFunc(blamed, func(b applicable) bool { return b.policy == a.policy })
	}
	rest := *e
	rest.contradicted = true
	rest.acting = filter(e.acting, func(a applicable) bool { return !waits(a) })
	rest.waiting = slices.Concat(e.waiting, filter(e.acting, waits))
	return &rest
}

// with returns the plan with one step more.
func (p plan) with(step step) plan {
	p.after = step.after
	if len(p.items) == 0 {
		p.items = step.items
	} else {
		p.items = append(p.items, step.items...)
	}
	p.violations = append(p.violations, step.violations...)
	return p
}

// step is what one kind of required things comes to.
type step struct {
	after      hands
	items      []item
	violations []Violation
}

// fits denies what could not be recorded, and so not be taken back.
func (p plan) fits(e *evaluation) plan {
	c := &p.after.claims
	if c.atMost() <= maxReceipt || c.atLeast() <= maxReceipt && len(c.appendJSON(nil))+overheadOfEntry <= maxReceipt {
		return p
	}
	err := field.TooLong(injectedPath.field, "", maxReceipt)
	err.Detail = "what berth would add does not fit into its annotation: have the policies require less, or the DaemonSet state it itself"
	for _, v := range e.violateAll(field.ErrorList{err}) {
		v.Actions = []v1alpha1.ValidationAction{v1alpha1.Deny}
		p.violations = append(p.violations, v)
	}
	p.after, p.removed = e.start, nil
	leave(p.items)
	return p
}

// violateAll makes violations of all acting policies.
func (e *evaluation) violateAll(errs field.ErrorList) []Violation { return violate(e.acting, errs) }

// violate makes violations of some policies. Each stands under the name of the
// first that denies for it, or else of the first.
func violate(policies []applicable, errs field.ErrorList) []Violation {
	if len(errs) == 0 {
		return nil
	}
	by := policies[0].policy
	if i := slices.IndexFunc(policies, func(a applicable) bool { return a.denies() }); i >= 0 {
		by = policies[i].policy
	}
	names := make(map[string]bool, len(policies))
	for i := range policies {
		names[policies[i].name] = true
	}
	violations := make([]Violation, 0, len(errs))
	for _, err := range errs {
		v := by.violation(err)
		v.alsoOf = names
		violations = append(violations, v)
	}
	return violations
}

// requiring returns the acting policies that require anything of a label, or else,
// where only the author's own words contradict each other, all that act.
func (e *evaluation) requiring(wanted *required, key string) []applicable {
	by := map[string]bool{}
	for i := range wanted.labels {
		by[wanted.labels[i].policy.name] = by[wanted.labels[i].policy.name] || wanted.labels[i].key == key
	}
	for i := range wanted.requirements {
		by[wanted.requirements[i].policy.name] = by[wanted.requirements[i].policy.name] || wanted.requirements[i].Key == key
	}
	if some := filter(e.acting, func(a applicable) bool { return by[a.name] }); len(some) > 0 {
		return some
	}
	return e.acting
}

func (p *policy) denies() bool { return slices.Contains(p.actions, v1alpha1.Deny) }

func (p *policy) violation(err *field.Error) Violation {
	return Violation{Error: shownError(err), Policy: p.name, Actions: p.actions}
}

// hold adds again what waiting policies have in the stored template: an update
// that dropped it, as a PUT does, takes nothing from them.
func (e *evaluation) hold(h hands, kept *required) hands {
	if len(e.waiting) == 0 {
		return h
	}
	byName := make(map[string]*policy, len(e.waiting))
	for i := range e.waiting {
		byName[e.waiting[i].name] = e.waiting[i].policy
	}
	set := newRequiredSet(kept)
	holder := func(name string, isRequired bool) *policy {
		if p := byName[name]; p != nil || !isRequired {
			return p
		}
		return e.waiting[0].policy
	}
	var held required
	for _, claim := range e.stored.labels {
		_, present := h.template.NodeSelector[claim.key]
		if by := holder(claim.policy, set.hasLabel(claim.key, claim.value)); by != nil && !present {
			held.labels = append(held.labels, label{key: claim.key, value: claim.value, policy: by})
		}
	}
	for _, claim := range e.stored.requirements {
		if by := holder(claim.policy, set.hasRequirement(claim.NodeSelectorRequirement)); by != nil {
			held.requirements = append(held.requirements, requirement{policy: by, NodeSelectorRequirement: claim.NodeSelectorRequirement})
		}
	}
	for _, claim := range e.stored.tolerations {
		if by := holder(claim.policy, set.hasToleration(claim.Toleration)); by != nil {
			held.tolerations = append(held.tolerations, toleration{policy: by, Toleration: claim.Toleration})
		}
	}
	h = planLabels(h, held.labels, nil).after
	h = planRequirements(h, held.requirements).after
	return planTolerations(h, held.tolerations).after
}
