package placement_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/placement"
)

func TestEverythingThatDecidesOnNodesHasAnAuthorOrAPolicyWithItsSource(t *testing.T) {
	authored := daemonSet(t, tutorial)
	authored.Spec.Template.Spec.NodeSelector = map[string]string{"mine": "x", "disk": "hdd", "pool": "a"}
	pools := policy(t, "pools", `
nodeSelector: {pool: a, zone: z}
nodeRequirements: [{key: arch, operator: NotIn, values: [arm]}]
tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]
`)
	disks := policy(t, "disks", "nodeSelector: {disk: ssd}\nconflictPolicy: PreferPolicy")
	policies := compile(t, pools, disks)
	stored := admit(t, policies, write{DaemonSet: authored})
	stored.Spec.Template.Spec.NodeName = "n-1"

	got := placement.Provenance(placement.ObjectOf(stored), verdictsOf(policies, write{DaemonSet: stored, Old: stored}))
	const pod, terms = "spec.template.spec.", "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
	want := []placement.Written{
		{Field: pod + "nodeName", What: "n-1", Author: true},
		{Field: pod + "nodeSelector[disk]", What: "disk=ssd", Policy: "disks", Source: "its nodeSelector", Overridden: "disk=hdd"},
		{Field: pod + "nodeSelector[mine]", What: "mine=x", Author: true},
		{Field: pod + "nodeSelector[pool]", What: "pool=a", Author: true, Policy: "pools", Source: "its nodeSelector"},
		{Field: pod + "nodeSelector[zone]", What: "zone=z", Policy: "pools", Source: "its nodeSelector"},
		{Field: terms + "[0].matchExpressions[0]", What: "arch NotIn [arm]", Policy: "pools", Source: "its nodeRequirements"},
		{Field: pod + "tolerations[0]", What: "gpu:NoSchedule", Policy: "pools", Source: "its tolerations"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who wrote what (-want +got):\n%s", diff)
	}
}

func TestAnExpressionIsItsAuthorsInTheTermsThatHadIt(t *testing.T) {
	authored := daemonSet(t, tutorial)
	notArm := corev1.NodeSelectorRequirement{Key: "arch", Operator: "NotIn", Values: []string{"arm"}}
	disk := corev1.NodeSelectorRequirement{Key: "disk", Operator: "Exists"}
	required(authored, []corev1.NodeSelectorTerm{
		{MatchExpressions: []corev1.NodeSelectorRequirement{notArm}}, {MatchExpressions: []corev1.NodeSelectorRequirement{disk}},
	})
	policies := compile(t, policy(t, "p", "nodeRequirements: [{key: arch, operator: NotIn, values: [arm]}]"))
	stored := admit(t, policies, write{DaemonSet: authored})
	by := map[string]string{}
	for _, w := range placement.Provenance(placement.ObjectOf(stored), nil) {
		_, at, _ := strings.Cut(w.Field, "nodeSelectorTerms")
		by[at+" "+w.What] = w.Policy
	}
	want := map[string]string{
		"[0].matchExpressions[0] arch NotIn [arm]": "", "[1].matchExpressions[0] disk Exists": "", "[1].matchExpressions[1] arch NotIn [arm]": "p",
	}
	if diff := cmp.Diff(want, by); diff != "" {
		t.Errorf("for which policy berth wrote what (-want +got):\n%s", diff)
	}
}

func TestWhatAPolicyDoesNotRequireAnyMoreHasNoSource(t *testing.T) {
	created := admit(t, compile(t, policy(t, "gone", "nodeSelector: {pool: a}")), write{DaemonSet: daemonSet(t, tutorial)})
	got := placement.Provenance(placement.ObjectOf(created), nil)
	want := []placement.Written{{Field: "spec.template.spec.nodeSelector[pool]", What: "pool=a", Policy: "gone"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who wrote what (-want +got):\n%s", diff)
	}
}

func verdictsOf(policies placement.Policies, w write) []placement.Verdict {
	selected, q := applicable(policies, w)
	return selected.Verdicts(q)
}

// FuzzWhatIsTheAuthorsIsWhatTheAuthorWrote creates a DaemonSet, and compares what is said to be its author's with what was sent.
func FuzzWhatIsTheAuthorsIsWhatTheAuthorWrote(f *testing.F) {
	addSeeds(f, 64, 128)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := &choices{bytes}
		ds, list := c.daemonSet(), c.policies()
		delete(ds.Annotations, placement.InjectedAnnotation)
		for i := range list {
			if c.pick(3) == 1 {
				list[i].Spec.ConflictPolicy = "PreferPolicy"
			}
		}
		policies := compile(t, list...)
		decision := decide(policies, write{DaemonSet: ds})
		if decision.Denied() != nil {
			return
		}
		stored := apply(t, ds, decision.Patch)
		var want, got []string
		for _, w := range placement.Provenance(placement.ObjectOf(ds), nil) {
			want = append(want, w.What)
		}
		for _, w := range placement.Provenance(placement.ObjectOf(stored), nil) {
			switch {
			case w.Author:
				got = append(got, w.What)
			case w.Overridden != "":
				got = append(got, w.Overridden)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the author's (-sent +said):\n%s", diff)
		}
	})
}

// Two policies that came to contradict each other are in conflict: the one for which berth wrote requires it still.
func TestWhatAPolicyRequiresInAConflictHasItsSource(t *testing.T) {
	for name, test := range map[string]struct{ a, b, field, what, source string }{
		"a label":       {"nodeSelector: {pool: a}", "nodeSelector: {pool: b}", "nodeSelector[pool]", "pool=b", "its nodeSelector"},
		"an expression": {"nodeSelector: {pool: a}", "nodeRequirements: [{key: pool, operator: In, values: [b]}]", "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]", "pool In [b]", "its nodeRequirements"},
	} {
		t.Run(name, func(t *testing.T) {
			b := policy(t, "two-b", test.b)
			stored := admit(t, compile(t, b), write{DaemonSet: daemonSet(t, tutorial)})
			both := compile(t, policy(t, "two-a", test.a), b)
			selected, _ := applicable(both, write{DaemonSet: stored, Old: stored})
			verdicts := selected.Verdicts(placement.NextTemplateChange(placement.ObjectOf(stored), nil))
			got := placement.Provenance(placement.ObjectOf(stored), verdicts)
			want := []placement.Written{{Field: "spec.template.spec." + test.field, What: test.what, Policy: "two-b", Source: test.source}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("who wrote what (-want +got):\n%s", diff)
			}
		})
	}
}
