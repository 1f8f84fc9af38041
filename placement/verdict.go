package placement

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
)

// ItemOutcome is what becomes of one thing that a policy requires.
type ItemOutcome string

// The outcomes of required things.
const (
	// Present: it is there already, the author's or from an earlier write.
	Present ItemOutcome = "present"
	// Added: berth adds it.
	Added ItemOutcome = "added"
	// Replaced: berth writes it in place of the author's value (PreferPolicy).
	Replaced ItemOutcome = "replaced"
	// Kept: the author's other value stays (PreferExisting).
	Kept ItemOutcome = "kept"
	// InConflict: it cannot be added; a violation says why.
	InConflict ItemOutcome = "conflict"
	// Missing: it is not there, and this write does not add it.
	Missing ItemOutcome = "missing"
)

// Item is one thing that a policy requires, and what becomes of it.
type Item struct {
	// Field is where it belongs, and What it is: app=example, arch NotIn [arm].
	Field, What string
	// Source is where the policy takes it from.
	Source  string
	Outcome ItemOutcome
	// Other is the value that is replaced, kept or in conflict.
	Other string
}

// Verdict is what one policy says of a DaemonSet.
type Verdict struct {
	Policy string
	Mode   v1alpha1.Mode
	// Waits is why the policy does not act on this write; empty where it acts.
	Waits      Reason
	Items      []Item
	Violations field.ErrorList
	// Denied is the first of the violations for which the write is denied; nil: there
	// is none.
	Denied *field.Error
}

// Complies says whether the policy leaves nothing to do.
func (v *Verdict) Complies() bool {
	return len(v.Violations) == 0 && !slices.ContainsFunc(v.Items, func(i Item) bool { return i.Outcome != Present && i.Outcome != Kept })
}

// Changes says whether berth writes anything for the policy.
func (v *Verdict) Changes() bool {
	return slices.ContainsFunc(v.Items, func(i Item) bool { return i.Outcome == Added || i.Outcome == Replaced })
}

// item is an Item before anybody reads it: one of the three is set.
type item struct {
	policy      *policy
	label       *label
	requirement *requirement
	toleration  *toleration
	outcome     ItemOutcome
	other       string
}

func (i *item) export() Item {
	exported := Item{Outcome: i.outcome, Other: i.other}
	switch {
	case i.label != nil:
		exported.Field, exported.Source = nodeSelectorPath.key(i.label.key).field.String(), i.label.origin
		exported.What = i.label.key + "=" + i.label.value
	case i.requirement != nil:
		exported.Field, exported.Source = termsPath.field.String(), i.requirement.origin
		exported.What = format(i.requirement.NodeSelectorRequirement)
	default:
		exported.Field, exported.Source = tolerationsPath.field.String(), "its tolerations"
		exported.What = formatToleration(i.toleration.Toleration)
	}
	return exported
}

// leave says of items that nothing is written for them.
func leave(items []item) {
	for i := range items {
		if items[i].outcome == Added || items[i].outcome == Replaced {
			items[i].outcome = Missing
		}
	}
}

// leftOf returns the items of policies that do not act after all.
func leftOf(items []item, acting []applicable) []item {
	act := make(map[*policy]bool, len(acting))
	for i := range acting {
		act[acting[i].policy] = true
	}
	left := filter(items, func(i item) bool { return !act[i.policy] })
	leave(left)
	return left
}

// NextTemplateChange is the question what a change of the pod template that
// leaves its placement alone would do to a DaemonSet that exists: kubectl rollout
// restart, say.
func NextTemplateChange(object *Object, nodes Nodes) *Question {
	return &Question{New: object, Old: object, RestChanged: true, Nodes: nodes}
}

// Verdicts returns one of each policy that selects the DaemonSet, in the order
// of names. Those that do not select it are Excluded, by Policies and InNamespace.
func (a Applicable) Verdicts(q *Question) []Verdict {
	if q.New.Deleting {
		return nil
	}
	read := ask(q)
	decision := a.decision(read)
	enforced, audited := decision.read(read, v1alpha1.ModeEnforce), (*outcomeReading)(nil)
	if decision.Audited != nil {
		audited = decision.Audited.read(read, v1alpha1.ModeAudit)
	}
	verdicts := make([]Verdict, 0, len(a.list))
	for i := range a.list {
		p := &a.list[i]
		// A policy in mode Audit looks at what would be if it were enforced too, and
		// one in mode Enforce does not know of it.
		outcome := enforced
		if p.mode == v1alpha1.ModeAudit {
			outcome = audited
		}
		verdicts = append(verdicts, outcome.verdict(p))
	}
	return verdicts
}

// outcomeReading is an outcome as the policies in one mode see it.
type outcomeReading struct {
	*Outcome
	question *Question
	waits    map[*policy]bool
	// items are those of each policy, also where it waits.
	items map[*policy][]item
}

func (o *Outcome) read(q *asked, mode v1alpha1.Mode) *outcomeReading {
	r := &outcomeReading{Outcome: o, question: q.Question, waits: map[*policy]bool{}, items: map[*policy][]item{}}
	for i := range o.items {
		by := o.items[i].policy
		r.items[by] = append(r.items[by], o.items[i])
	}
	for i := range o.waiting {
		r.waits[o.waiting[i].policy] = true
	}
	ofMode := filter(o.waiting, func(a applicable) bool { return a.mode == mode && !a.unmet })
	asks := missing(ofMode, q.updated, &o.after.template)
	for i := range ofMode {
		r.items[ofMode[i].policy] = asks[ofMode[i].policy]
	}
	return r
}

func (r *outcomeReading) verdict(p *applicable) Verdict {
	v := Verdict{Policy: p.name, Mode: p.mode}
	if r.waits[p.policy] {
		v.Waits = p.waits(r.question, true)
		if v.Waits == "" {
			v.Waits = ReasonUpdate
		}
	}
	items := r.items[p.policy]
	for i := range items {
		v.Items = append(v.Items, items[i].export())
	}
	for i := range r.Violations {
		violation := &r.Violations[i]
		if violation.Policy == p.name || violation.alsoOf[p.name] {
			v.Violations = append(v.Violations, violation.Error)
			if v.Denied == nil && slices.Contains(violation.Actions, v1alpha1.Deny) {
				v.Denied = violation.Error
			}
		}
	}
	return v
}

// Wanted returns what the policy requires that is not there.
func (v *Verdict) Wanted() field.ErrorList {
	var errs field.ErrorList
	for _, i := range v.Items {
		if i.Outcome == Added || i.Outcome == Replaced || i.Outcome == Missing {
			what := i.What
			if i.Field == tolerationsPath.field.String() {
				what = "the toleration " + what
			}
			errs = append(errs, field.Required(field.NewPath(i.Field), fmt.Sprintf("policy %q requires %s", v.Policy, what)))
		}
	}
	return errs
}
