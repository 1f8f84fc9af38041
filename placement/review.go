package placement

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// Review is what the policies find in a DaemonSet that exists, policy by policy.
type Review struct {
	// Findings has one finding of each policy that applies, in the order of names.
	Findings []Finding
	// Conflicts are between these policies, in the order of keys.
	Conflicts []Conflict
}

// Finding is what one policy finds in a DaemonSet.
type Finding struct {
	Policy string
	Mode   v1alpha1.Mode
	// Violations is what no patch of berth's can put right.
	Violations field.ErrorList
	// Wanted is what a patch of berth's would put right.
	Wanted field.ErrorList
	// Patched says whether berth would write what the policy wants with the next
	// change of the pod template, were the policy in mode Enforce.
	Patched bool
}

// Complies says whether the policy leaves nothing to do.
func (f Finding) Complies() bool { return len(f.Violations)+len(f.Wanted) == 0 }

// Conflict is one node label of which policies want different values, two at
// the least. No node has both.
type Conflict struct {
	Key string
	// Wishes are sorted by policy and value.
	Wishes []Wish
}

// Wish is the value that one policy wants.
type Wish struct{ Policy, Value string }

// Names returns the names of the policies, sorted.
func (p Policies) Names() []string {
	names := make([]string, len(p.list))
	for i, policy := range p.list {
		names[i] = policy.name
	}
	return names
}

// Review looks at a DaemonSet as if it were created now. Decide answers for all
// policies together; Review says which of them is behind it, also where two want
// the same, and where one in mode Audit only looks on.
func (p Policies) Review(in Input) Review {
	in.Old = nil
	var selected []*policy
	for _, policy := range p.list {
		if policy.selects(in) {
			selected = append(selected, policy)
		}
	}
	if len(selected) == 0 || in.DaemonSet.DeletionTimestamp != nil {
		return Review{}
	}
	decision := Policies{list: selected}.Decide(in)
	review := Review{Conflicts: conflicts(selected, in.DaemonSet)}
	enforced := slices.DeleteFunc(slices.Clone(selected), func(p *policy) bool { return p.mode == v1alpha1.ModeAudit })
	amongEnforced := conflicts(enforced, in.DaemonSet)
	for _, policy := range selected {
		// A policy in mode Audit looks at what would be if it were enforced too, and
		// one in mode Enforce does not know of it.
		outcome, among := &decision.Outcome, amongEnforced
		if policy.mode == v1alpha1.ModeAudit {
			outcome, among = decision.Audited, review.Conflicts
		}
		review.Findings = append(review.Findings, policy.find(in, outcome, among))
	}
	return review
}

// find takes from the outcome of all policies what is this policy's, and adds
// what it would say alone: where several want the same, the outcome names one.
func (p *policy) find(in Input, outcome *Outcome, conflicts []Conflict) Finding {
	finding := Finding{Policy: p.name, Mode: p.mode}
	alone := newDraft(in)
	alone.policies = []*policy{p}
	alone.checkShape()
	if len(alone.violations) == 0 {
		alone.require(collect(alone.policies, in.DaemonSet))
	}
	conflicting := map[string]bool{}
	for _, c := range conflicts {
		if with := c.Describe(p.name); with != "" {
			at := nodeSelectorPath.key(c.Key).field
			conflicting[at.String()] = true
			finding.Violations = append(finding.Violations, field.Forbidden(at, with+": change one of the policies"))
		}
	}
	for _, v := range slices.Concat(alone.violations, outcome.Violations) {
		same := func(have *field.Error) bool { return have.Error() == v.Error.Error() }
		if v.Policy == p.name && !conflicting[v.Field] && !slices.ContainsFunc(finding.Violations, same) {
			finding.Violations = append(finding.Violations, v.Error)
		}
	}
	written := map[string]bool{}
	for _, op := range outcome.Patch {
		for _, name := range op.wanted.names() {
			written[name] = true
		}
	}
	for _, op := range alone.patch {
		for _, name := range op.wanted.names() {
			finding.Patched = finding.Patched || written[name] && p.updatePolicy != v1alpha1.UpdateCreateOnly
		}
		if wanted := op.wanted.String(); wanted != "" {
			finding.Wanted = append(finding.Wanted, field.Required(op.field, wanted))
		}
	}
	return finding
}

// names gives each thing that is required a name, whoever requires it.
func (r required) names() []string {
	var names []string
	for _, l := range r.labels {
		names = append(names, "label "+l.key+"="+l.value)
	}
	for _, req := range r.requirements {
		names = append(names, "requirement "+format(req.NodeSelectorRequirement))
	}
	for _, t := range r.tolerations {
		names = append(names, "toleration "+string(t.Operator)+" "+formatToleration(t.Toleration))
	}
	return names
}

// Conflicts returns those that do not depend on the DaemonSet: between policies
// that apply to every one of the namespace for which For has selected them.
func (p Policies) Conflicts() []Conflict {
	always := slices.DeleteFunc(slices.Clone(p.list), func(p *policy) bool { return p.conditional || !p.objectSelector.Empty() })
	return conflicts(always, &appsv1.DaemonSet{})
}

// conflicts finds the keys of which policies want different values.
func conflicts(policies []*policy, ds *appsv1.DaemonSet) []Conflict {
	if len(policies) < 2 {
		return nil
	}
	byKey := map[string][]Wish{}
	for _, p := range policies {
		for _, l := range collect([]*policy{p}, ds).labels {
			byKey[l.key] = append(byKey[l.key], Wish{p.name, l.value})
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
	for _, mine := range c.Wishes {
		var others []string
		for _, w := range c.Wishes {
			if w.Policy != policy && w.Value != mine.Value {
				others = append(others, fmt.Sprintf("policy %q requires %s=%s", w.Policy, c.Key, w.Value))
			}
		}
		if mine.Policy != policy || len(others) == 0 {
			continue
		}
		if more := len(others) - mostOthers; more > 0 {
			others = append(others[:mostOthers], fmt.Sprintf("and %d more policies require other values", more))
		}
		return fmt.Sprintf("policy %q requires %s=%s, %s", policy, c.Key, mine.Value, strings.Join(others, ", "))
	}
	return ""
}

// mostOthers is how many other policies a message names: 1,000 would not fit
// into a condition.
const mostOthers = 3
