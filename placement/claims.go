package placement

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// claims is what of a template berth wrote, and for which policy. A policy
// without a name is one that nobody knows: the receipt is of the first form.
type claims struct {
	// labels are sorted by key, of which each has one.
	labels []labelClaim
	// requirements are sorted and unique.
	requirements []requirementClaim
	// tolerations are sorted by policy, and unique.
	tolerations []tolerationClaim
	// made is the outermost object on the way to required node affinity that berth
	// made, or WithoutAffinity where the author had them all.
	made AffinityDepth
}

// labelClaim is a label of the nodeSelector that berth wrote.
type labelClaim struct {
	policy, key, value string
	// overridden is the author's own value, in whose place berth wrote its own.
	overridden    string
	hasOverridden bool
}

// requirementClaim is an expression that berth wrote into every term, but for
// those that had it already: except has their indices, sorted.
type requirementClaim struct {
	corev1.NodeSelectorRequirement
	policy string
	except []int
}

func (c *requirementClaim) excepts(term int) bool {
	_, found := slices.BinarySearch(c.except, term)
	return found
}

// tolerationClaim is a toleration that berth wrote.
type tolerationClaim struct {
	corev1.Toleration
	policy string
}

func (c *claims) empty() bool {
	return len(c.labels)+len(c.requirements)+len(c.tolerations) == 0
}

// about says whether a label or an expression among the claims is of the key.
func (c *claims) about(key string) bool {
	return c.label(key) != nil || slices.ContainsFunc(c.requirements, func(r requirementClaim) bool { return r.Key == key })
}

// atMost returns a number of bytes that the claims' JSON form does not exceed.
func (c *claims) atMost() int {
	const escaped, member = 2, 64 // each character may need an escape; names and punctuation
	size := member
	for i := range c.labels {
		l := &c.labels[i]
		size += member + escaped*(len(l.policy)+2*len(l.key)+len(l.value)+len(l.overridden))
	}
	for i := range c.requirements {
		r := &c.requirements[i]
		size += 2*member + escaped*(len(r.policy)+len(r.Key)+len(r.Operator)) + 8*len(r.except)
		for _, value := range r.Values {
			size += escaped * (len(value) + 2)
		}
	}
	for i := range c.tolerations {
		t := &c.tolerations[i]
		size += 2*member + escaped*(len(t.policy)+len(t.Key)+len(t.Operator)+len(t.Value)+len(t.Effect))
	}
	return size
}

// atLeast returns a number of bytes that the claims' JSON form has in any case: what
// is far beyond a bound is not encoded to find that out.
func (c *claims) atLeast() int {
	const shortest = len(`"k":"",`)
	return shortest * (len(c.labels) + len(c.requirements) + len(c.tolerations))
}

// minus returns the claims without some.
func (c *claims) minus(others *claims) claims {
	if others.empty() {
		return *c
	}
	rest := claims{made: c.made}
	rest.labels = filter(c.labels, func(l labelClaim) bool { return others.label(l.key) == nil })
	index := newRequirementIndex(len(others.requirements))
	for _, r := range others.requirements {
		index.put(r.NodeSelectorRequirement, 0)
	}
	rest.requirements = filter(c.requirements, func(r requirementClaim) bool {
		_, found := index.find(r.NodeSelectorRequirement)
		return !found
	})
	tolerations := make(map[tolerationKey]bool, len(others.tolerations))
	for _, t := range others.tolerations {
		tolerations[keyOfToleration(t.Toleration)] = true
	}
	rest.tolerations = filter(c.tolerations, func(t tolerationClaim) bool { return !tolerations[keyOfToleration(t.Toleration)] })
	if len(rest.requirements) == 0 {
		rest.made = WithoutAffinity
	}
	return rest
}

// label returns the claim of a key, or nil.
func (c *claims) label(key string) *labelClaim {
	i, found := slices.BinarySearchFunc(c.labels, key, func(l labelClaim, key string) int { return strings.Compare(l.key, key) })
	if !found {
		return nil
	}
	return &c.labels[i]
}

// normalize sorts claims, and drops those that are there twice: the first
// policy by name keeps its own.
func (c *claims) normalize() {
	slices.SortFunc(c.labels, func(a, b labelClaim) int {
		return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.policy, b.policy))
	})
	c.labels = slices.CompactFunc(c.labels, func(a, b labelClaim) bool { return a.key == b.key })
	slices.SortFunc(c.requirements, func(a, b requirementClaim) int {
		return cmp.Or(compareRequirements(a.NodeSelectorRequirement, b.NodeSelectorRequirement), strings.Compare(a.policy, b.policy))
	})
	c.requirements = slices.CompactFunc(c.requirements, func(a, b requirementClaim) bool {
		return equalRequirements(a.NodeSelectorRequirement, b.NodeSelectorRequirement)
	})
	slices.SortFunc(c.tolerations, func(a, b tolerationClaim) int {
		return cmp.Or(strings.Compare(a.policy, b.policy), compareTolerations(a.Toleration, b.Toleration))
	})
	if len(c.tolerations) > 1 {
		seen := make(map[tolerationKey]bool, len(c.tolerations))
		c.tolerations = slices.DeleteFunc(c.tolerations, func(t tolerationClaim) bool {
			key := keyOfToleration(t.Toleration)
			twice := seen[key]
			seen[key] = true
			return twice
		})
	}
	if len(c.requirements) == 0 {
		c.made = WithoutAffinity
	}
}

func compareTolerations(a, b corev1.Toleration) int {
	x, y := keyOfToleration(a), keyOfToleration(b)
	return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(string(a.Operator), string(b.Operator)), strings.Compare(a.Value, b.Value),
		strings.Compare(string(a.Effect), string(b.Effect)), cmp.Compare(x.seconds, y.seconds))
}

// requirementIndex finds an expression by its value, in time that does not
// grow with the number of expressions.
type requirementIndex struct {
	places map[string]int
	buffer []byte
}

func newRequirementIndex(size int) requirementIndex {
	return requirementIndex{places: make(map[string]int, size)}
}

func (x *requirementIndex) put(r corev1.NodeSelectorRequirement, place int) {
	x.places[string(x.key(r))] = place
}

func (x *requirementIndex) find(r corev1.NodeSelectorRequirement) (place int, found bool) {
	if len(x.places) == 0 {
		return 0, false
	}
	place, found = x.places[string(x.key(r))]
	return place, found
}

func (x *requirementIndex) key(r corev1.NodeSelectorRequirement) []byte {
	b := x.buffer[:0]
	b = append(append(b, r.Key...), 0)
	b = append(b, r.Operator...)
	for _, value := range r.Values {
		b = append(b, 0)
		b = append(b, value...)
	}
	x.buffer = b
	return b
}

// tolerationKey is a toleration that can be compared.
type tolerationKey struct {
	corev1.Toleration
	seconds int64
	limited bool
}

func keyOfToleration(t corev1.Toleration) tolerationKey {
	key := tolerationKey{Toleration: t}
	if t.TolerationSeconds != nil {
		key.seconds, key.limited = *t.TolerationSeconds, true
		key.TolerationSeconds = nil
	}
	return key
}
