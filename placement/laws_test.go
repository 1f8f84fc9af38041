package placement_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

func FuzzDecideKeepsTheLaws(f *testing.F) {
	addSeeds(f, 64, 96)
	nodes := universe()
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := &choices{bytes}
		ds, list := c.daemonSet(), c.policies()
		before := ds.DeepCopy()
		decision := decide(compile(t, list...), write{DaemonSet: ds, Nodes: nodes})

		if diff := cmp.Diff(before, ds); diff != "" {
			t.Fatalf("not pure: the DaemonSet was written to (-before +after):\n%s", diff)
		}
		for i := range list {
			list[0], list[i] = list[i], list[0]
		}
		if diff := cmp.Diff(answerOf(decision.Outcome), answerOf(decide(compile(t, list...), write{DaemonSet: ds, Nodes: nodes}).Outcome)); diff != "" {
			t.Fatalf("not deterministic: another order of the policies, another decision (-first +second):\n%s", diff)
		}
		if decision.Denied() != nil {
			return
		}
		patched := apply(t, ds, decision.Patch)
		if again := decide(compile(t, list...), write{DaemonSet: patched}); len(again.Patch) > 0 {
			t.Fatalf("not idempotent: after %s there is left %s", decision.Patch.AppendJSON(nil), again.Patch.AppendJSON(nil))
		}
		if ds.Annotations[placement.InjectedAnnotation] != "" {
			return // berth's own value gives way to another: that moves, it does not narrow.
		}
		for _, n := range nodes {
			one := placement.NodeList{n}
			if one.Survey(nil, templateOf(patched)).Eligible > one.Survey(nil, templateOf(ds)).Eligible {
				t.Fatalf("not narrowing: node %v is eligible after %s and was not before", n.Labels, decision.Patch.AppendJSON(nil))
			}
		}
	})
}

func FuzzDecideIsTotal(f *testing.F) {
	raw, err := json.Marshal(daemonSet(f, tutorial))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"spec":{"selector":{"matchExpressions":[{}]},"template":{"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[null,{"matchExpressions":[{"operator":"Gt"}]}]}}}}}}}`))
	policies := compile(f, policy(f, "own-label", ownLabel), policy(f, "pool", "nodeSelector: {pool: x}\nconflictPolicy: PreferPolicy"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ds := &appsv1.DaemonSet{}
		if json.Unmarshal(raw, ds) != nil {
			return
		}
		decision := decide(policies, write{DaemonSet: ds, Nodes: placement.NodeList{node("n", nil)}})
		for _, w := range decision.Warnings {
			if len(w) > 120 {
				t.Errorf("a warning of %d characters: %s", len(w), w)
			}
		}
		if decision.Denied() == nil {
			apply(t, ds, decision.Patch)
		}
		decide(policies, write{DaemonSet: ds, Old: &appsv1.DaemonSet{}})
	})
}

func FuzzTheAnnotationReadsAsPodNodeSelectorReadsIt(f *testing.F) {
	for _, seed := range []string{"", " ", "a=b", "a=b,c=d", " a = b ", "a", "a=", "=b", "a=b,a=c", "a=b=c", "a==b", "a!=b", ",", "a=b,", "x/y=z", "ä=b"} {
		f.Add(seed)
	}
	compiled := compile(f, policy(f, "p", `nodeSelectorFrom: [{type: NamespaceAnnotation}]`))
	f.Fuzz(func(t *testing.T, value string) {
		namespace := placement.Namespace{Annotations: map[string]string{v1alpha1.DefaultNamespaceAnnotation: value}}
		ds := daemonSet(t, tutorial)
		decision := decide(compiled, write{DaemonSet: ds, Namespace: namespace})
		want, err := labels.ConvertSelectorToLabelsMap(value)
		denied := decision.Denied()
		switch {
		case err == nil && denied != nil && strings.Contains(denied[0].Detail, "contradicts"):
			// PodNodeSelector silently takes the last of two values.
		case (err == nil) != (denied == nil):
			t.Fatalf("%q: PodNodeSelector says %v, berth says %v", value, err, denied)
		case err == nil:
			got := apply(t, ds, decision.Patch).Spec.Template.Spec.NodeSelector
			if diff := cmp.Diff(map[string]string(want), got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%q (-PodNodeSelector +berth):\n%s", value, diff)
			}
		}
	})
}

// noNodes is a cluster on which every placement is denied, with its digest.
type noNodes struct{}

func (noNodes) Survey(*placement.Template, *placement.Template) placement.Survey {
	return placement.Survey{Total: 1}
}

// FuzzADigestNamesExactlyOneChange leaves the tolerations after the change aside,
// which other webhooks add to.
func FuzzADigestNamesExactlyOneChange(f *testing.F) {
	addSeeds(f, 32, 128)
	policies := compile(f, policy(f, "p", "tolerations: [{key: never, operator: Exists}]\nnodeChecks: {validationActions: [Deny]}"))
	digestOf := regexp.MustCompile(`berth.dev/acknowledge=([0-9a-f]{12})`)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := &choices{bytes}
		type change struct{ before, after corev1.PodSpec }
		changes := map[string]change{}
		for range 4 {
			var pods change
			for _, pod := range []*corev1.PodSpec{&pods.before, &pods.after} {
				pod.NodeSelector = c.labels()
				for range c.pick(3) {
					pod.Tolerations = append(pod.Tolerations, c.toleration())
				}
			}
			old, updated := daemonSet(t, tutorial), daemonSet(t, tutorial)
			old.Spec.Template.Spec, updated.Spec.Template.Spec = pods.before, pods.after
			in := write{DaemonSet: updated, Old: old, Nodes: noNodes{}}
			denied := decide(policies, in).Denied()
			if denied == nil {
				continue // The ratchet: nothing changed.
			}
			digest := digestOf.FindStringSubmatch(denied[0].Detail)[1]
			pods.after.Tolerations = nil
			if other, ok := changes[digest]; ok {
				if diff := cmp.Diff(other, pods, cmp.AllowUnexported(change{})); diff != "" {
					t.Fatalf("two changes have the digest %s (-one +other):\n%s", digest, diff)
				}
			}
			changes[digest] = pods
		}
	})
}

func FuzzASelectorIsDeniedWhereTheAPIServerDeniesIt(f *testing.F) {
	for _, seed := range [][2]string{{"app", "example"}, {"app.kubernetes.io/name", "x"}, {"a//b", ""}, {"/a", "b"}, {"a/", "b"}, {"-a", "b"}, {"a", "b-"}, {"a..b", "a..b"}, {"A/b", "B"}, {"a_b", "c_d"}, {"a.-b/c", "d"}, {strings.Repeat("a", 64), ""}} {
		f.Add(seed[0], seed[1])
	}
	policies := compile(f, policy(f, "p", ownLabel))
	f.Fuzz(func(t *testing.T, key, value string) {
		ds := daemonSet(t, tutorial)
		ds.Spec.Selector.MatchLabels = map[string]string{key: value}
		ds.Spec.Template.Labels = ds.Spec.Selector.MatchLabels
		want := validation.ValidateLabels(ds.Spec.Selector.MatchLabels, field.NewPath("spec", "selector", "matchLabels"))
		got := decide(policies, write{DaemonSet: ds}).Denied()
		if (len(want) > 0) != (len(got) > 0) {
			t.Errorf("%q: %q: the API server says %v, berth says %v", key, value, want, got)
		}
	})
}
