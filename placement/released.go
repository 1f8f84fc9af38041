package placement

import "slices"

// released is what berth wrote and no policy requires any more, be it one that acts
// on this write or waits. To take it back may widen the placement, so that needs
// proof: what could be the author's by now stays, as the author's.
type released struct{ berths, authors claims }

func (e *evaluation) released(wanted, kept, awaited *required) released {
	var r released
	if e.start.claims.empty() {
		return r
	}
	acting, all := newRequiredSet(wanted), newRequiredSet(wanted, kept)
	labels, requirements, tolerations := e.isAuthors(UnitNodeSelector), e.isAuthors(UnitRequired), e.isAuthors(UnitTolerations)
	for _, claim := range e.start.claims.labels {
		if all.hasLabel(claim.key, claim.value) || !e.releases(claim.policy, all.failed) || wanted.contradictsLabel(claim.key, awaited) {
			continue // In the last case nothing else comes in its place: see plan_waiting.go.
		}
		// berth's own value gives way to another one that is required.
		of := r.of(labels && !acting.keys[claim.key] && !e.giveWay.has(claim.key))
		of.labels = append(of.labels, claim)
	}
	for _, claim := range e.start.claims.requirements {
		if all.hasRequirement(claim.NodeSelectorRequirement) || !e.releases(claim.policy, all.failed) {
			continue
		}
		of := r.of(requirements && !e.giveWay.has(claim.Key))
		of.requirements = append(of.requirements, claim)
	}
	for _, claim := range e.start.claims.tolerations {
		if all.hasToleration(claim.Toleration) || !e.releases(claim.policy, all.failed) {
			continue
		}
		of := r.of(tolerations)
		of.tolerations = append(of.tolerations, claim)
	}
	return r
}

func (r *released) of(author bool) *claims {
	if author {
		return &r.authors
	}
	return &r.berths
}

// takeBack makes the author's what is released to the author, and takes back the rest.
func (e *evaluation) takeBack(r *released) (hands, []removal) {
	if e.start.claims.empty() {
		return e.start, nil
	}
	rest := e.start
	rest.claims = rest.claims.minus(&r.authors)
	return rest.without(&r.berths)
}

// releases says whether what a policy claims may be taken back, when nobody
// requires it. What a policy has that does not act on this write, it keeps; so
// does one of which nobody knows what it requires.
func (e *evaluation) releases(policy string, failed map[string]bool) bool {
	is := func(a applicable) bool { return a.name == policy }
	if !e.changed {
		return slices.ContainsFunc(e.acting, is) && !failed[policy]
	}
	if policy == unknownPolicy {
		return len(failed)+len(e.waiting) == 0
	}
	return !failed[policy] && !slices.ContainsFunc(e.waiting, is)
}

// isAuthors says whether a value that no policy requires any more is the author's
// own by now.
func (e *evaluation) isAuthors(unit Unit) bool { return e.write != nil && e.write.states(unit) }

// keys are no label keys, one or all.
type keys struct {
	one string
	all bool
}

func (k keys) has(key string) bool { return k.all || k.one != "" && k.one == key }

// and returns the keys with one more. After the second they are all, so that what
// a stranger writes does not say how often an evaluation starts anew.
func (k keys) and(key string) keys {
	if k == (keys{}) && key != "" {
		return keys{one: key}
	}
	return keys{all: true}
}
