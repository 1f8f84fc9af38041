package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Conflict is one node label of which policies want different values, two at
// the least. No node has both.
type Conflict struct {
	Key string
	// Wishes are sorted by policy and value.
	Wishes []Wish
}

// Wish is the value that one policy wants.
type Wish struct{ Policy, Value string }

// Conflicts returns those that do not depend on the DaemonSet: between policies
// that apply to every one of the namespace for which InNamespace has selected them.
func (n InNamespace) Conflicts() []Conflict {
	var always []applicable
	for _, policy := range n.list {
		if policy.invalid == nil && !policy.conditional && policy.objectSelector.Empty() {
			always = append(always, applicable{policy: policy})
		}
	}
	return conflictsAmong(always, &Object{})
}

// Conflicts returns those between the policies that apply to the DaemonSet.
func (a Applicable) Conflicts(object *Object) []Conflict {
	return conflictsAmong(filter(a.list, func(p applicable) bool { return !p.unmet && p.failed == nil }), object)
}

// conflictsAmong finds the keys of which policies want different values.
func conflictsAmong(policies []applicable, object *Object) []Conflict {
	if len(policies) < 2 {
		return nil
	}
	byKey := map[string][]Wish{}
	for i := range policies {
		for rest := collect(policies[i:i+1], object).labels; len(rest) > 0; {
			same := rest[:run(rest, sameLabel)]
			rest = rest[len(same):]
			byKey[same[0].key] = append(byKey[same[0].key], Wish{policies[i].name, same[0].value})
		}
	}
	var found []Conflict
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		// Policies are in the order of names, and the labels of one in that of values.
		c := Conflict{key, byKey[key]}
		first := c.Wishes[0]
		if slices.ContainsFunc(c.Wishes, func(w Wish) bool { return w.Policy != first.Policy }) &&
			slices.ContainsFunc(c.Wishes, func(w Wish) bool { return w.Value != first.Value }) {
			found = append(found, c)
		}
	}
	return found
}

// Describe says to one policy what others want instead, with the values; it is
// empty when the policy is no part of the conflict.
func (c Conflict) Describe(policy string) string {
	at, _ := slices.BinarySearchFunc(c.Wishes, policy, func(w Wish, policy string) int { return strings.Compare(w.Policy, policy) })
	for ; at < len(c.Wishes) && c.Wishes[at].Policy == policy; at++ {
		if others := c.others(c.Wishes[at]); others != "" {
			return fmt.Sprintf("policy %q requires %s=%s, %s", policy, c.Key, c.Wishes[at].Value, others)
		}
	}
	return ""
}

// others says which other policies want other values than one does.
func (c Conflict) others(mine Wish) string {
	var named []string
	more := 0
	for _, w := range c.Wishes {
		switch {
		case w.Policy == mine.Policy || w.Value == mine.Value:
		case len(named) < mostOthers:
			named = append(named, fmt.Sprintf("policy %q requires %s=%s", w.Policy, c.Key, w.Value))
		default:
			more++
		}
	}
	if more > 0 {
		named = append(named, fmt.Sprintf("and %d more policies require other values", more))
	}
	return strings.Join(named, ", ")
}

// mostOthers is how many other policies a message names: 1,000 would not fit
// into a condition.
const mostOthers = 3
