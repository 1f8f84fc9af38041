package placement_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/placement"
)

// FuzzEveryPolicyIsExplained holds the law "explained": each policy has one verdict, or one reason why it has none, and
// the verdicts account for the whole patch and for every denial.
func FuzzEveryPolicyIsExplained(f *testing.F) {
	addSeeds(f, 64, 128)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := &choices{bytes}
		ds, list := c.daemonSet(), c.policies()
		for i := range list {
			if c.pick(3) == 1 {
				list[i].Spec.ConflictPolicy = "PreferPolicy"
			}
			if c.pick(5) == 1 {
				list[i].Spec.Mode = "Audit"
			}
		}
		policies := compile(t, list...)
		selected, q := applicable(policies, write{DaemonSet: ds})
		decision, verdicts := selected.Decide(q), selected.Verdicts(q)

		inNamespace := policies.InNamespace(placement.Namespace{})
		var explained []string
		for _, v := range verdicts {
			explained = append(explained, v.Policy)
		}
		for _, e := range slices.Concat(policies.Excluded(placement.Namespace{}), inNamespace.Excluded(q.New, nil)) {
			explained = append(explained, e.Policy)
		}
		slices.Sort(explained)
		if !slices.Equal(explained, policies.Names()) {
			t.Fatalf("policies %v, explained %v", policies.Names(), explained)
		}
		expectDenialsIn(t, decision, verdicts)
		if decision.Denied() == nil {
			expectAdditionsIn(t, ds, apply(t, ds, decision.Patch), verdicts)
		}
	})
}

// FuzzAPolicyThatWaitsAsksWhatItWouldAskAlone compares what many policies that wait are missing with what each would do alone.
func FuzzAPolicyThatWaitsAsksWhatItWouldAskAlone(f *testing.F) {
	addSeeds(f, 64, 128)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := &choices{bytes}
		ds, list := c.daemonSet(), c.policies()
		delete(ds.Annotations, placement.InjectedAnnotation)
		var want []string
		for i := range list {
			list[i].Spec.UpdatePolicy = "CreateOnly"
			if c.pick(3) == 1 {
				list[i].Spec.ConflictPolicy = "PreferPolicy"
			}
			if c.pick(5) == 1 {
				list[i].Spec.Mode = "Audit"
			}
			alone, q := applicable(compile(t, list[i]), write{DaemonSet: ds})
			want = append(want, itemsOf(alone.Verdicts(q))...)
		}
		waiting, q := applicable(compile(t, list...), write{DaemonSet: ds, Old: ds})
		got := itemsOf(waiting.Verdicts(q))
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("items (-alone +waiting):\n%s", diff)
		}
	})
}

func TestAPolicyThatWaitsIsInConflictWithTermsThatItCouldNotExtend(t *testing.T) {
	waiting := compile(t, policy(t, "p", "updatePolicy: CreateOnly\nnodeRequirements: [{key: disk, operator: Exists}]"))
	term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "os", Operator: "Exists"}}}
	for n, want := range map[int]placement.ItemOutcome{0: placement.InConflict, 2000: placement.Missing, 2001: placement.InConflict} {
		ds := daemonSet(t, tutorial)
		required(ds, slices.Repeat([]corev1.NodeSelectorTerm{term}, n))
		selected, q := applicable(waiting, write{DaemonSet: ds, Old: ds})
		if items := selected.Verdicts(q)[0].Items; len(items) != 1 || items[0].Outcome != want {
			t.Errorf("%d terms: %+v, want %s", n, items, want)
		}
	}
}

// itemsOf writes items, with nothing in them of what is written into the object.
func itemsOf(verdicts []placement.Verdict) (items []string) {
	for _, v := range verdicts {
		for _, i := range v.Items {
			if i.Outcome == placement.Added || i.Outcome == placement.Replaced {
				i.Outcome = placement.Missing
			}
			items = append(items, fmt.Sprintf("%s: %+v", v.Policy, i))
		}
	}
	return items
}

func expectDenialsIn(t *testing.T, decision placement.Decision, verdicts []placement.Verdict) {
	t.Helper()
	said := map[string]bool{}
	for _, v := range verdicts {
		for _, violation := range v.Violations {
			said[string(v.Mode)+" "+violation.Error()] = true
		}
	}
	for _, denial := range decision.Denied() {
		if !said["Enforce "+denial.Error()] {
			t.Fatalf("no verdict has the denial %v: %+v", denial, verdicts)
		}
	}
}

// expectAdditionsIn checks that whatever the patch adds is an item of a policy in mode Enforce.
func expectAdditionsIn(t *testing.T, before, after *appsv1.DaemonSet, verdicts []placement.Verdict) {
	t.Helper()
	accounted := func(what string) bool {
		return slices.ContainsFunc(verdicts, func(v placement.Verdict) bool {
			return v.Mode == "Enforce" && slices.ContainsFunc(v.Items, func(i placement.Item) bool {
				return i.What == what && (i.Outcome == placement.Added || i.Outcome == placement.Replaced)
			})
		})
	}
	was, is := &before.Spec.Template.Spec, &after.Spec.Template.Spec
	for key, value := range is.NodeSelector {
		if have, ok := was.NodeSelector[key]; (!ok || have != value) && !accounted(key+"="+value) {
			t.Errorf("nobody accounts for %s=%s: %+v", key, value, verdicts)
		}
	}
	if added := len(is.Tolerations) - len(was.Tolerations); added > 0 {
		items := 0
		for _, v := range verdicts {
			for _, i := range v.Items {
				if i.Field == "spec.template.spec.tolerations" && i.Outcome == placement.Added {
					items++
				}
			}
		}
		if items < added {
			t.Errorf("%d tolerations added, %d accounted for: %+v", added, items, verdicts)
		}
	}
	count := func(pod *corev1.PodSpec) (expressions int) {
		template := placement.TemplateOf(nil, pod)
		for _, term := range template.Affinity.Terms {
			expressions += len(term.MatchExpressions)
		}
		return expressions
	}
	if count(is) > count(was) && !slices.ContainsFunc(verdicts, func(v placement.Verdict) bool {
		return slices.ContainsFunc(v.Items, func(i placement.Item) bool {
			return strings.HasSuffix(i.Field, "nodeSelectorTerms") && i.Outcome == placement.Added
		})
	}) {
		t.Errorf("nobody accounts for the expressions: %+v", verdicts)
	}
}
