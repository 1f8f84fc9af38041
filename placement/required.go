package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// required is what policies ask for of one DaemonSet. What several ask for is
// there once for each.
type required struct {
	// labels are sorted by key and value. A key with more than one value is a
	// conflict between policies.
	labels []label
	// requirements are sorted.
	requirements []requirement
	// tolerations are in the order of the policies.
	tolerations []toleration
	// failures are in the order of the policies.
	failures []failure
	// asked is how many labels and expressions the sources had.
	asked int
}

// maxRequired is how many labels and expressions the sources of all policies have
// together for one DaemonSet: its author and those of policies write them.
const maxRequired = 10_000

// failure is a source that could not be read.
type failure struct {
	policy *policy
	err    *field.Error
	// tooMany says that it could, and that nothing but a bound is in the way.
	tooMany bool
	// whole names what was read, where the error shows a part of it.
	whole string
}

// violation is a source that could not be read: its policy's failurePolicy says
// what happens. A bound is none of its business: the policy's actions say.
func (f *failure) violation() Violation {
	if f.tooMany {
		return f.policy.violation(f.err)
	}
	action := v1alpha1.Deny
	if f.policy.failurePolicy == v1alpha1.Ignore {
		action = v1alpha1.Warn
	}
	return Violation{Error: shownError(f.err), Policy: f.policy.name, Actions: []v1alpha1.ValidationAction{action}, whole: f.whole}
}

// ask says whether a source may add so many labels and expressions.
func (r *required) ask(by *policy, n int) bool {
	if r.asked += n; r.asked <= maxRequired {
		return true
	}
	r.failures = append(r.failures, failure{policy: by, tooMany: true, err: field.Invalid(selectorPath.field, field.OmitValueType{}, fmt.Sprintf(
		"the sources of all policies together have more than %d labels and expressions for this DaemonSet: use fewer labels", maxRequired))})
	return false
}

// label is one required node label, the policy that asks for it, and from
// which of its sources, for a message.
type label struct {
	key, value string
	policy     *policy
	origin     string
}

// requirement is one expression of required node affinity.
type requirement struct {
	policy *policy
	origin string
	corev1.NodeSelectorRequirement
}

// toleration is one toleration.
type toleration struct {
	policy *policy
	corev1.Toleration
}

// collect gathers what the policies require of a DaemonSet.
func collect(policies []applicable, object *readObject) required {
	var set required
	for i := range policies {
		p := &policies[i]
		labels, requirements, failures := len(set.labels), len(set.requirements), len(set.failures)
		if p.failed != nil {
			set.failures = append(set.failures, failure{policy: p.policy, err: p.failed})
		} else {
			for _, s := range p.sources {
				if s.collect(&set, p.policy, object); len(set.failures) > failures && set.asked > maxRequired {
					break
				}
			}
		}
		if len(set.failures) > failures {
			// Half of what a policy requires may be worse than nothing of it.
			set.labels, set.requirements = set.labels[:labels], set.requirements[:requirements]
			continue
		}
		for _, t := range p.tolerations {
			set.tolerations = append(set.tolerations, toleration{p.policy, t})
		}
	}
	slices.SortStableFunc(set.labels, compareLabels)
	slices.SortStableFunc(set.requirements, compareWishes)
	return set
}

// label returns the first label of the key that is required; nil: none is.
func (r *required) label(key string) *label {
	if of := r.labelsOf(key); len(of) > 0 {
		return &of[0]
	}
	return nil
}

// labelsOf returns the labels of the key that are required.
func (r *required) labelsOf(key string) []label {
	i, found := slices.BinarySearchFunc(r.labels, key, func(l label, key string) int { return strings.Compare(l.key, key) })
	if !found {
		return nil
	}
	return r.labels[i : i+run(r.labels[i:], sameKey)]
}

// run returns how many elements at the head of a sorted list are equal.
func run[T any](list []T, same func(a, b *T) bool) int {
	end := 1
	for end < len(list) && same(&list[0], &list[end]) {
		end++
	}
	return end
}

func sameKey(a, b *label) bool { return a.key == b.key }

func sameWish(a, b *requirement) bool {
	return equalRequirements(a.NodeSelectorRequirement, b.NodeSelectorRequirement)
}

// requiredSet answers whether a thing is among those that are required.
type requiredSet struct {
	labels       map[[2]string]bool
	keys         map[string]bool
	requirements requirementIndex
	tolerations  map[tolerationKey]bool
	failed       map[string]bool // by the name of the policy
}

func newRequiredSet(from ...*required) requiredSet {
	set := requiredSet{
		labels: map[[2]string]bool{}, keys: map[string]bool{}, requirements: newRequirementIndex(0),
		tolerations: map[tolerationKey]bool{}, failed: map[string]bool{},
	}
	for _, r := range from {
		for _, l := range r.labels {
			set.labels[[2]string{l.key, l.value}], set.keys[l.key] = true, true
		}
		for rest := r.requirements; len(rest) > 0; rest = rest[run(rest, sameWish):] {
			set.requirements.put(rest[0].NodeSelectorRequirement, 0)
		}
		for _, t := range r.tolerations {
			set.tolerations[keyOfToleration(t.Toleration)] = true
		}
		for _, f := range r.failures {
			set.failed[f.policy.name] = true
		}
	}
	return set
}

// addClaims adds what berth wrote for policies.
func (s *requiredSet) addClaims(c *claims) {
	for _, l := range c.labels {
		s.labels[[2]string{l.key, l.value}] = true
	}
	for _, r := range c.requirements {
		s.requirements.put(r.NodeSelectorRequirement, 0)
	}
	for _, t := range c.tolerations {
		s.tolerations[keyOfToleration(t.Toleration)] = true
	}
}

func (s *requiredSet) hasLabel(key, value string) bool { return s.labels[[2]string{key, value}] }

func (s *requiredSet) hasRequirement(r corev1.NodeSelectorRequirement) bool {
	_, found := s.requirements.find(r)
	return found
}

func (s *requiredSet) hasToleration(t corev1.Toleration) bool {
	return s.tolerations[keyOfToleration(t)]
}

func compareLabels(a, b label) int {
	return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(a.value, b.value))
}

func compareWishes(a, b requirement) int {
	return compareRequirements(a.NodeSelectorRequirement, b.NodeSelectorRequirement)
}

func compareRequirements(a, b corev1.NodeSelectorRequirement) int {
	return cmp.Or(
		strings.Compare(a.Key, b.Key),
		strings.Compare(string(a.Operator), string(b.Operator)),
		compareValues(a.Values, b.Values),
	)
}

// compareValues finds at once that two lists are one: those of a spec.selector,
// which many policies require.
func compareValues(a, b []string) int {
	if sameList(a, b) {
		return 0
	}
	return slices.Compare(a, b)
}

func sameList(a, b []string) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// valueSet sorts the values of an expression, which are a set: berth's own are
// sorted, but an author's may be in any order.
func valueSet(values []string) []string {
	if len(values) < 2 {
		return values
	}
	return slices.Compact(slices.Sorted(slices.Values(values)))
}

func (l label) String() string {
	return fmt.Sprintf("policy %q requires %s=%s", l.policy.name, l.key, l.value)
}

// format writes an expression as people do: app NotIn [a, b]. Of many values it
// writes the first.
func format(r corev1.NodeSelectorRequirement) string {
	text := shown(r.Key) + " " + string(shown(r.Operator))
	if len(r.Values) == 0 {
		return text
	}
	return text + " [" + shownList(r.Values) + "]"
}

// formatToleration writes a toleration as kubectl describe does: key=value:Effect.
func formatToleration(t corev1.Toleration) string {
	text := shown(t.Key)
	if t.Value != "" {
		text += "=" + shown(t.Value)
	}
	if t.Effect != "" {
		text += ":" + string(shown(t.Effect))
	}
	return cmp.Or(text, "of every taint")
}
