package placement

import (
	"slices"

	"berth.dev/berth/api/v1alpha1"
)

// Decide says what the policies want of one DaemonSet: the patch that makes it
// comply, and what no patch can put right. Its inputs stay as they are.
func (a Applicable) Decide(q *Question) Decision { return a.decision(ask(q)) }

func (a Applicable) decision(q *asked) Decision {
	enforced, audited := a.byMode()
	if q.New.Deleting || q.Old != nil && q.Old.Deleting {
		// What is on its way out must be let go.
		decision := Decision{Outcome: Outcome{Policies: enforcedNames(enforced)}}
		if len(audited) > 0 {
			decision.Audited = &Outcome{Policies: enforcedNames(a.list)}
		}
		return decision
	}
	r := read(q, a.list)
	decision := Decision{Outcome: r.decide(enforced, audited)}
	if len(audited) > 0 {
		all := r.decide(a.list, nil)
		decision.Audited = &all
	}
	return decision
}

// byMode tells the policies that are enforced from those that are in mode Audit.
func (a Applicable) byMode() (enforced, audited []applicable) {
	isAudited := func(p applicable) bool { return p.mode != v1alpha1.ModeEnforce }
	if !slices.ContainsFunc(a.list, isAudited) {
		return a.list, nil
	}
	for _, p := range a.list {
		if isAudited(p) {
			audited = append(audited, p)
		} else {
			enforced = append(enforced, p)
		}
	}
	return enforced, audited
}

// decide lets some policies act. The others wait: they ask for nothing, but what
// they have they keep.
func (r *reading) decide(enforced, others []applicable) Outcome {
	outcome := Outcome{Policies: enforcedNames(enforced)}
	e := evaluation{
		object: r.updated, start: r.now, stored: r.was.claims,
		changed: r.changed, write: r,
	}
	e.acting, e.waiting = r.split(enforced)
	e.awaiting = awaiting(e.waiting)
	entering := r.entering(e.waiting)
	e.waiting = slices.Concat(e.waiting, others)
	if !r.changed {
		e.start = r.was // What the author did not change is stored as it was.
	}
	p := e.resolve()
	outcome.waiting, outcome.items = e.waiting, p.items
	outcome.Violations = p.violations
	if !outcome.denies() {
		found := checkNodes(r, e.acting, &p.after)
		outcome.survey = found.survey
		outcome.Violations = append(outcome.Violations, found.violations...)
	}
	if outcome.denies() && r.Old != nil && !r.replaced && r.ratchet(&e, outcome.Violations) {
		p.after, p.removed = r.was, nil
		leave(p.items)
	}
	outcome.Violations = append(outcome.Violations, e.violationsOf(entering)...)
	if outcome.denies() {
		return outcome
	}
	outcome.before, outcome.after, outcome.removed = &r.New.Template, p.after, p.removed
	outcome.Patch = r.patch(&p.after)
	outcome.Warnings = outcome.warnings()
	return outcome
}

// split tells the policies that act on the write from those that wait.
func (r *reading) split(policies []applicable) (acting, waiting []applicable) {
	waits := func(a applicable) bool { return a.waits(r.Question, r.changed) != "" }
	if !slices.ContainsFunc(policies, waits) {
		return policies, nil
	}
	for _, a := range policies {
		if waits(a) {
			waiting = append(waiting, a)
		} else {
			acting = append(acting, a)
		}
	}
	return acting, waiting
}

func enforcedNames(policies []applicable) []string {
	var names []string
	for i := range policies {
		if !policies[i].unmet {
			names = append(names, policies[i].name)
		}
	}
	return names
}

// states says whether a write states the values of a unit that it has: one that
// has lost the receipt does, and so does one whose own field manager applies it.
func (r *reading) states(unit Unit) bool {
	return r.changed && r.Old != nil && (r.lost() || r.Applied != nil && r.Applied(unit))
}

// entering returns those of the policies that wait into whose scope the write
// brings the object.
func (r *reading) entering(waiting []applicable) []applicable {
	if r.Old == nil || !slices.ContainsFunc(waiting, func(a applicable) bool { return a.mayComeIntoScope(r.Question) }) {
		return nil
	}
	return filter(waiting, func(a applicable) bool { return a.comesIntoScope(r.Question) })
}

// violationsOf says how what is stored, which stays, violates policies into whose
// scope it comes. They add nothing to it: that waits for a change of the template.
func (e *evaluation) violationsOf(entering []applicable) []Violation {
	if len(entering) == 0 {
		return nil
	}
	judged := *e
	judged.acting, judged.awaiting, judged.changed = entering, nil, false
	return judged.resolve().violations
}

// ratchet turns denials into warnings where the stored object has the same
// violation of the same policy, and says whether none is left. An update must not
// fail for what it does not touch; what comes into a policy's scope with it is as
// new. What only nodes forbid is no change where the stored template stays.
func (r *reading) ratchet(e *evaluation, violations []Violation) bool {
	stored := evaluation{
		object: r.stored, start: r.was, stored: r.was.claims, waiting: e.waiting, awaiting: e.awaiting,
		changed: e.changed, write: e.write,
	}
	stored.acting = filter(e.acting, func(a applicable) bool { return !a.comesIntoScope(r.Question) })
	had := map[string]bool{}
	for _, v := range stored.resolve().violations {
		had[v.identity()] = true
	}
	ratcheted := slices.Clone(violations)
	for i, v := range ratcheted {
		if !slices.Contains(v.Actions, v1alpha1.Deny) {
			continue
		}
		if !v.ofNodes && !had[v.identity()] {
			return false
		}
		ratcheted[i] = v.ratcheted()
	}
	copy(violations, ratcheted)
	return true
}

// patch returns what makes the object that is sent the one to be stored, with
// its receipt.
func (r *reading) patch(after *hands) Patch {
	patch := patchOf(&r.New.Template, &after.template)
	hadAny := !r.was.claims.empty() || len(r.wasReceipt.past) > 0
	next := receipt{claims: after.claims, past: r.wasReceipt.past}
	if hadAny {
		next.past = r.pastOf(after)
	}
	text := next.encode()
	if len(text) > maxReceipt {
		next.past = nil
		text = next.encode()
	}
	switch {
	case text == r.nowReceipt.text:
	case text == emptyReceipt && !hadAny && !r.nowReceipt.present:
	case text == emptyReceipt && !hadAny:
		return append(patch, remove(injectedPath))
	case len(r.New.Annotations) == 0:
		return append(patch, add(annotationsPath, map[string]string{InjectedAnnotation: text}))
	default:
		return append(patch, add(injectedPath, text))
	}
	return patch
}

// pastOf returns the past of a template that is to be stored: where it is
// another, the one that is stored until now belongs to it.
func (r *reading) pastOf(after *hands) []pastReceipt {
	if r.RestDigests == nil || r.Old == nil || !r.RestChanged && after.template.placesAs(&r.Old.Template) {
		return r.wasReceipt.past
	}
	updated, stored := r.RestDigests()
	return withPast(r.wasReceipt.past, r.Old.Template.named(stored), after.template.named(updated), &r.was.claims)
}
