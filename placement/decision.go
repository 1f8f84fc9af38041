package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// Question is one write of a DaemonSet, on its way into the cluster. For a patch
// that applies, the raw object has to have the objects metadata, spec,
// spec.template and spec.template.spec.
type Question struct {
	// New is the object as it would be stored.
	New *Object
	// Old is the object as it is stored; nil on creation.
	Old *Object
	// OldExcluded says that the webhook configurations keep the stored object from
	// berth, by its priority class: with this write it comes into all policies' scope.
	OldExcluded bool
	// RestChanged says whether New differs from Old anywhere in spec.template but
	// in nodeSelector, required node affinity and tolerations. It counts on updates.
	RestChanged bool
	// RestDigests names what RestChanged compares, of New and of Old: kubectl rollout
	// undo brings back a template as it was. It is asked on updates of a template only.
	RestDigests func() (updated, stored string)
	// Stated returns what the manifest states that kubectl apply keeps in its
	// annotation; nil where the annotation is that of Old, or absent.
	Stated func() *Template
	// Applied says whether the request's own field manager owns the unit by server-
	// side apply; nil where it owns none.
	Applied func(Unit) bool
	// Nodes is the cluster's nodes; nil when they are not known.
	Nodes Nodes
}

// Unit is a field of the pod spec that the API server's field managers own as a
// whole.
type Unit int

// The units that berth writes to.
const (
	UnitNodeSelector Unit = iota
	UnitRequired          // affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
	UnitTolerations
)

// Decision is what the policies want of one DaemonSet.
type Decision struct {
	// Outcome is what the policies in mode Enforce want.
	Outcome
	// Audited is what all policies together would want if those in mode Audit
	// were enforced too; nil when no policy in mode Audit applies.
	Audited *Outcome
}

// Outcome is what a set of policies wants of one DaemonSet.
type Outcome struct {
	// Policies is the names of the policies that apply, sorted.
	Policies []string
	// Patch makes the DaemonSet comply, as far as the violations allow.
	Patch Patch
	// Violations is what no patch of berth's can put right.
	Violations []Violation
	// Warnings is what the user should know, each at most 120 characters. It holds
	// the violations of policies whose validationActions say Warn.
	Warnings []string

	// What the readings of an outcome are made of.
	items   []item
	waiting []applicable
	before  *Template
	after   hands
	removed []removal
	survey  Survey
}

// Violation is one way in which a DaemonSet breaks a policy.
type Violation struct {
	*field.Error
	// Policy is the name of the policy that it breaks.
	Policy string
	// Actions is what that policy says happens.
	Actions []v1alpha1.ValidationAction

	// warning is what a warning of it says; empty means the error's detail.
	warning string
	// ofNodes says that it is of nodeChecks.
	ofNodes bool
	// whole names what the error shows a part of; empty where that is all.
	whole string
	// alsoOf has the names of other policies that it breaks as well.
	alsoOf map[string]bool
}

// identity tells violations apart, whatever the places in lists.
func (v *Violation) identity() string {
	var b strings.Builder
	b.WriteString(v.Policy)
	b.WriteByte(' ')
	for part := range strings.SplitSeq(v.Field, "[") {
		index, rest, _ := strings.Cut(part, "]")
		if _, err := strconv.Atoi(index); err != nil {
			rest = part
		}
		b.WriteString(rest)
	}
	b.WriteString(": " + v.ErrorBody() + v.whole)
	return b.String()
}

// ratcheted is the violation with a warning in place of a denial.
func (v Violation) ratcheted() Violation {
	v.Actions = warnInPlaceOfDeny(v.Actions)
	v.warning = "not applied: " + cmp.Or(v.warning, v.Detail)
	return v
}

func warnInPlaceOfDeny(actions []v1alpha1.ValidationAction) []v1alpha1.ValidationAction {
	actions = slices.Clone(actions)
	actions[slices.Index(actions, v1alpha1.Deny)] = v1alpha1.Warn
	return actions
}

// Denied returns the violations for which the request is denied; nil when it is
// allowed.
func (o Outcome) Denied() field.ErrorList {
	var denied field.ErrorList
	for _, v := range o.Violations {
		if slices.Contains(v.Actions, v1alpha1.Deny) {
			denied = append(denied, v.Error)
		}
	}
	return denied
}

func (o *Outcome) denies() bool {
	return slices.ContainsFunc(o.Violations, func(v Violation) bool { return slices.Contains(v.Actions, v1alpha1.Deny) })
}

// Leftover returns an error for each thing that berth has written into the
// stored object, or has to, and that the object lacks. The validating webhook
// denies with them: the mutating webhook has been called before it, so something
// has taken away since what a policy requires. It never denies what is there
// beside.
func (o Outcome) Leftover() field.ErrorList {
	if o.before == nil || o.after.claims.empty() {
		return nil
	}
	var errs field.ErrorList
	lacks := func(at path, policy, what string) {
		errs = append(errs, shownError(field.Required(at.field, fmt.Sprintf("policy %q requires %s, and it was not there after mutation: "+
			"try again; if it stays so, another mutating webhook takes it away", shown(policy), what))))
	}
	for _, claim := range o.after.claims.labels {
		if have, ok := o.before.NodeSelector[claim.key]; ok && have == claim.value {
			continue
		}
		at := nodeSelectorPath
		if len(o.before.NodeSelector) > 0 {
			at = at.key(claim.key)
		}
		lacks(at, claim.policy, shown(claim.key)+"="+shown(claim.value))
	}
	here := present(&o.after.claims, o.before)
	complete := everyTermHas(o.after.claims.requirements, o.before)
	for i, claim := range o.after.claims.requirements {
		if !complete[i] {
			lacks(termsPath, claim.policy, format(claim.NodeSelectorRequirement))
		}
	}
	missing := o.after.claims.minus(&here)
	for _, claim := range missing.tolerations {
		lacks(tolerationsPath, claim.policy, "the toleration "+formatToleration(claim.Toleration))
	}
	return errs
}

// everyTermHas says of each requirement whether every term that can match has it.
func everyTermHas(claimed []requirementClaim, t *Template) (complete []bool) {
	complete = make([]bool, len(claimed))
	if len(claimed) == 0 || len(t.Affinity.Terms) == 0 {
		return complete
	}
	index := newRequirementIndex(len(claimed))
	for i := range claimed {
		index.put(claimed[i].NodeSelectorRequirement, i)
	}
	counts, nonEmpty := countTerms(&index, len(claimed), t)
	for i := range counts {
		complete[i] = counts[i] == nonEmpty
	}
	return complete
}

// countTerms counts the terms that can match, and how many of them have each of
// the n expressions of an index.
func countTerms(index *requirementIndex, n int, t *Template) (counts []int, nonEmpty int) {
	counts, last := make([]int, n), make([]int, n)
	for k := range t.Affinity.Terms {
		term := &t.Affinity.Terms[k]
		if len(term.MatchExpressions)+len(term.MatchFields) == 0 {
			continue
		}
		nonEmpty++
		for _, expression := range term.MatchExpressions {
			expression.Values = valueSet(expression.Values)
			if i, found := index.find(expression); found && last[i] != k+1 {
				last[i] = k + 1
				counts[i]++
			}
		}
	}
	return counts, nonEmpty
}
