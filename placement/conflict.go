package placement

import (
	"cmp"
	"fmt"
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
	var labels []label
	for _, policy := range n.list {
		if policy.invalid == nil && !policy.conditional && policy.objectSelector.Empty() {
			labels = append(labels, collect([]applicable{{policy: policy}}, newReadObject(&Object{})).labels...)
		}
	}
	return conflictsAmong(labels)
}

// Conflicts returns those between the policies that apply to the DaemonSet. Of
// policies that require more together than they may, it says nothing.
func (a Applicable) Conflicts(object *Object) []Conflict {
	all := filter(a.list, func(p applicable) bool { return !p.unmet && p.failed == nil })
	if len(all) < 2 {
		return nil
	}
	return conflictsAmong(collect(all, newReadObject(object)).labels)
}

// conflictsAmong finds the keys of which policies want different values.
func conflictsAmong(labels []label) []Conflict {
	slices.SortStableFunc(labels, func(a, b label) int {
		return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.policy.name, b.policy.name), strings.Compare(a.value, b.value))
	})
	var found []Conflict
	for rest := labels; len(rest) > 0; {
		same := rest[:run(rest, sameKey)]
		rest = rest[len(same):]
		first := &same[0]
		if slices.ContainsFunc(same, func(l label) bool { return l.policy.name != first.policy.name }) &&
			slices.ContainsFunc(same, func(l label) bool { return l.value != first.value }) {
			found = append(found, Conflict{first.key, wishesOf(same)})
		}
	}
	return found
}

// wishesOf returns each value that each policy wants, once.
func wishesOf(labels []label) []Wish {
	wishes := make([]Wish, 0, len(labels))
	for i := range labels {
		wishes = append(wishes, Wish{labels[i].policy.name, labels[i].value})
	}
	return slices.Compact(wishes)
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
