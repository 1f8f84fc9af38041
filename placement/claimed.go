package placement

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// reading is a question read as two hands: what of the new and of the stored
// object is berth's, what its author's, and whether the author changed anything.
type reading struct {
	*asked
	// was is the stored object, now the one that is sent.
	was, now hands
	// receipts are those of the stored object and of the one that is sent.
	wasReceipt, nowReceipt receipt
	authored, authoredWas  Template
	// changed says that the author's template is another than the stored one, and
	// replaced that this is so of what placement reads of it.
	changed, replaced bool
}

// read tells the two hands apart. What policies require decides over a claim
// that the stored receipt does not have.
func read(q *asked, all []applicable) reading {
	r := reading{asked: q, nowReceipt: readReceipt(q.New)}
	r.now.template = q.New.Template
	if q.Old == nil {
		r.now.claims = r.claimed(all)
		r.authored, r.changed, r.replaced = r.now.authored(), true, true
		return r
	}
	r.wasReceipt = readReceipt(q.Old)
	r.was.template = q.Old.Template
	r.was.claims = present(&r.wasReceipt.claims, &q.Old.Template)
	r.now.claims = r.claimed(all)
	r.authored, r.authoredWas = r.now.authored(), r.was.authored()
	r.replaced = !r.authored.Equal(&r.authoredWas)
	r.changed = r.replaced || q.RestChanged
	return r
}

// lost says that an update has no receipt, where the stored object has one.
func (r *reading) lost() bool { return r.Old != nil && !r.nowReceipt.present }

// claimed returns what of the new object is berth's.
func (r *reading) claimed(all []applicable) claims {
	source, relative := r.nowReceipt.claims, false
	if r.lost() {
		source = r.wasReceipt.claims
	}
	undone := false
	if past, found := r.pastClaims(); found {
		source, undone = past, true
	} else if r.Old != nil && (r.lost() || r.nowReceipt.text == r.wasReceipt.text) {
		relative = true
	}
	if source.empty() {
		return claims{}
	}
	if relative {
		source.requirements = relocated(source.requirements, r.Old.Template.Affinity.Terms, r.New.Template.Affinity.Terms)
	}
	if r.Stated != nil {
		source = source.notStatedBy(r.Stated())
	}
	source = present(&source, &r.New.Template)
	if undone || source.empty() || r.Old != nil && r.nowReceipt.text == r.wasReceipt.text {
		return source
	}
	required := collect(all, r.updated)
	known := newRequiredSet(&required)
	known.addClaims(&r.wasReceipt.claims)
	for _, past := range r.wasReceipt.past {
		// A rollout undo may have brought it back in the phase before this one.
		known.addClaims(past.read())
	}
	return source.trusted(known)
}

// pastClaims finds out that a rollout undo brings back an earlier template. It
// leaves the annotations as they are stored, so the receipt is that of another
// template; one that berth has written since, in this request, is not.
func (r *reading) pastClaims() (claims, bool) {
	if r.Old == nil || len(r.wasReceipt.past) == 0 || r.nowReceipt.text != r.wasReceipt.text || r.RestDigests == nil ||
		!r.RestChanged && r.New.Template.placesAs(&r.Old.Template) {
		return claims{}, false
	}
	rest, _ := r.RestDigests()
	return r.wasReceipt.pastClaims(r.New.Template.named(rest))
}

// present returns the claims whose values the template has.
func present(c *claims, t *Template) claims {
	if c.empty() {
		return claims{}
	}
	found := claims{made: c.made}
	found.labels = filter(c.labels, func(l labelClaim) bool {
		value, ok := t.NodeSelector[l.key]
		return ok && value == l.value
	})
	if len(c.requirements) > 0 {
		there := make([]bool, len(c.requirements))
		index := newRequirementIndex(len(c.requirements))
		for i := range c.requirements {
			index.put(c.requirements[i].NodeSelectorRequirement, i)
		}
		for k := range t.Affinity.Terms {
			for _, expression := range t.Affinity.Terms[k].MatchExpressions {
				if i, ok := index.find(expression); ok && !c.requirements[i].excepts(k) {
					there[i] = true
				}
			}
		}
		for i, claim := range c.requirements {
			if there[i] {
				claim.except = filter(claim.except, func(k int) bool { return k >= 0 && k < len(t.Affinity.Terms) })
				found.requirements = append(found.requirements, claim)
			}
		}
	}
	found.tolerations = presentTolerations(c.tolerations, t.Tolerations)
	if len(found.requirements) == 0 {
		found.made = WithoutAffinity
	}
	return found
}

func presentTolerations(claimed []tolerationClaim, tolerations []corev1.Toleration) []tolerationClaim {
	if len(claimed) == 0 {
		return nil
	}
	there := make(map[tolerationKey]bool, len(claimed))
	for _, claim := range claimed {
		there[keyOfToleration(claim.Toleration)] = false
	}
	for _, have := range tolerations {
		key := keyOfToleration(have)
		if isThere, isClaimed := there[key]; isClaimed && !isThere {
			there[key] = true
		}
	}
	return filter(claimed, func(claim tolerationClaim) bool { return there[keyOfToleration(claim.Toleration)] })
}

// relocated returns claims about the old terms as claims about the new ones,
// which the author may have put in another order. A term that is not among the
// old ones keeps its place.
func relocated(requirements []requirementClaim, old, updated []corev1.NodeSelectorTerm) []requirementClaim {
	some := func(r requirementClaim) bool { return len(r.except) > 0 }
	if !slices.ContainsFunc(requirements, some) || slices.EqualFunc(old, updated, equalTerms) {
		return requirements
	}
	places := make(map[string][]int, len(old))
	for j := range old {
		key := string(appendValue(nil, old[j]))
		places[key] = append(places[key], j)
	}
	from := make([][]int, len(updated))
	for k := range updated {
		switch same := places[string(appendValue(nil, updated[k]))]; {
		case slices.Contains(same, k):
			from[k] = []int{k}
		case len(same) > 0:
			from[k] = same[:min(len(same), maxEqualTerms)]
		default:
			from[k] = []int{k}
		}
	}
	to := map[int][]int{}
	for k := range from {
		for _, j := range from[k] {
			to[j] = append(to[j], k)
		}
	}
	next := slices.Clone(requirements)
	for i := range next {
		// Of equal terms the narrower counts: the author had the expression.
		var except []int
		for _, j := range requirements[i].except {
			if len(except) > maxReceipt {
				break // More than a receipt can say.
			}
			except = append(except, to[j]...)
		}
		slices.Sort(except)
		next[i].except = slices.Compact(except)
	}
	return next
}

// maxEqualTerms is how many equal terms are told apart.
const maxEqualTerms = 4

// notStatedBy returns the claims without what the manifest itself states, as
// kubectl apply records it: that is the author's, also where berth wrote it first.
func (c *claims) notStatedBy(manifest *Template) claims {
	if manifest == nil {
		return *c
	}
	rest := claims{made: c.made}
	rest.labels = filter(c.labels, func(l labelClaim) bool {
		value, ok := manifest.NodeSelector[l.key]
		return !ok || value != l.value
	})
	if len(c.tolerations) > 0 {
		stated := make(map[tolerationKey]bool, len(manifest.Tolerations))
		for _, t := range manifest.Tolerations {
			stated[keyOfToleration(t)] = true
		}
		rest.tolerations = filter(c.tolerations, func(t tolerationClaim) bool { return !stated[keyOfToleration(t.Toleration)] })
	}
	rest.requirements = slices.Clone(c.requirements)
	if len(rest.requirements) == 0 || !manifest.Affinity.Required() {
		return rest
	}
	rest.made = WithoutAffinity // The author states these objects now.
	index := newRequirementIndex(len(rest.requirements))
	for i := range rest.requirements {
		index.put(rest.requirements[i].NodeSelectorRequirement, i)
		rest.requirements[i].except = slices.Clone(rest.requirements[i].except)
	}
	for k := range manifest.Affinity.Terms {
		for _, expression := range manifest.Affinity.Terms[k].MatchExpressions {
			if i, found := index.find(expression); found && !rest.requirements[i].excepts(k) {
				at, _ := slices.BinarySearch(rest.requirements[i].except, k)
				rest.requirements[i].except = slices.Insert(rest.requirements[i].except, at, k)
			}
		}
	}
	return rest
}

// trusted returns the claims that the stored receipt knows, or that a policy
// requires now. Others are forged, copied or of a policy that is not there yet:
// the values are the author's.
func (c *claims) trusted(known requiredSet) claims {
	kept := claims{made: c.made}
	kept.labels = filter(c.labels, func(l labelClaim) bool { return known.hasLabel(l.key, l.value) })
	kept.requirements = filter(c.requirements, func(r requirementClaim) bool { return known.hasRequirement(r.NodeSelectorRequirement) })
	kept.tolerations = filter(c.tolerations, func(t tolerationClaim) bool { return known.hasToleration(t.Toleration) })
	if len(kept.requirements) == 0 {
		kept.made = WithoutAffinity
	}
	return kept
}
