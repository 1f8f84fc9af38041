package placement_test

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// choices turns fuzz bytes into a case of the laws. Keys and values come from a
// small universe, so that they meet.
type choices struct{ bytes []byte }

func (c *choices) pick(n int) int {
	if len(c.bytes) == 0 {
		return 0
	}
	b := c.bytes[0]
	c.bytes = c.bytes[1:]
	return int(b) % n
}

func (c *choices) key() string   { return [...]string{"app", "pool", "a/b"}[c.pick(3)] }
func (c *choices) value() string { return [...]string{"x", "y", "1", "2"}[c.pick(4)] }

func (c *choices) labels() map[string]string {
	var labels map[string]string
	for range c.pick(4) {
		if labels == nil {
			labels = map[string]string{}
		}
		labels[c.key()] = c.value()
	}
	return labels
}

func (c *choices) values() []string {
	var values []string
	for range c.pick(3) {
		values = append(values, c.value())
	}
	return values
}

func (c *choices) terms() []corev1.NodeSelectorTerm {
	operators := [...]corev1.NodeSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Bad"}
	var terms []corev1.NodeSelectorTerm
	for range c.pick(4) {
		var term corev1.NodeSelectorTerm
		for range c.pick(3) {
			term.MatchExpressions = append(term.MatchExpressions, corev1.NodeSelectorRequirement{
				Key: c.key(), Operator: operators[c.pick(len(operators))], Values: c.values(),
			})
		}
		if c.pick(4) == 1 {
			term.MatchFields = []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{"n-1"}}}
		}
		terms = append(terms, term)
	}
	return terms
}

func (c *choices) daemonSet() *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "ds", Labels: c.labels()}}
	if c.pick(8) != 1 {
		ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: c.labels()}
		for range c.pick(3) {
			operators := [...]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist", "Bad"}
			ds.Spec.Selector.MatchExpressions = append(ds.Spec.Selector.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: c.key(), Operator: operators[c.pick(len(operators))], Values: c.values(),
			})
		}
		ds.Spec.Template.Labels = ds.Spec.Selector.MatchLabels
	}
	pod := &ds.Spec.Template.Spec
	pod.NodeSelector = c.labels()
	if c.pick(3) > 0 {
		pod.Affinity = &corev1.Affinity{}
		if c.pick(3) > 0 {
			pod.Affinity.NodeAffinity = &corev1.NodeAffinity{}
			if c.pick(4) > 0 {
				pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: c.terms()}
			}
		}
	}
	if c.pick(6) == 1 {
		ds.Annotations = map[string]string{placement.InjectedAnnotation: [...]string{"", "{", "null", `{"nodeSelector":{"pool":"x"}}`}[c.pick(4)]}
	}
	return ds
}

// policies makes policies that only narrow: PreferPolicy moves a DaemonSet from
// some nodes to others, as its name says.
func (c *choices) policies() []v1alpha1.PlacementPolicy {
	var list []v1alpha1.PlacementPolicy
	for i := range c.pick(4) {
		p := v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p-%d", i)}}
		p.Spec.NodeSelector = map[string]v1alpha1.NodeLabelValue{}
		for key, value := range c.labels() {
			p.Spec.NodeSelector[key] = v1alpha1.NodeLabelValue(value)
		}
		if len(p.Spec.NodeSelector) == 0 || c.pick(2) == 0 {
			p.Spec.NodeSelectorFrom = []v1alpha1.NodeSelectorSource{{Type: v1alpha1.NodeSelectorFromWorkloadSelector}}
		}
		p.Spec.ConflictPolicy = [...]v1alpha1.ConflictPolicy{"Reject", "PreferExisting"}[c.pick(2)]
		p.Spec.ValidationActions = [...][]v1alpha1.ValidationAction{nil, {"Warn"}, {"Audit"}}[c.pick(3)]
		list = append(list, p)
	}
	return list
}

// universe has a node for each set of labels that the choices can ask for.
func universe() placement.NodeList {
	var nodes placement.NodeList
	values := [...]string{"", "x", "y", "1", "2"}
	for i := range len(values) * len(values) * len(values) {
		labels := map[string]string{}
		for key, value := range map[string]string{
			"app": values[i%5], "pool": values[i/5%5], "a/b": values[i/25],
		} {
			if value != "" {
				labels[key] = value
			}
		}
		nodes = append(nodes, node("n-"+strconv.Itoa(i), labels))
	}
	return nodes
}

func FuzzDecideKeepsTheLaws(f *testing.F) {
	for seed := range 64 {
		bytes := make([]byte, 96)
		for i := range bytes {
			bytes[i] = byte((i*i*7 + seed*31 + i*seed) >> 1)
		}
		f.Add(bytes)
	}
	nodes := universe()
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := &choices{bytes}
		ds, list := c.daemonSet(), c.policies()
		before := ds.DeepCopy()
		decision := compile(t, list...).Decide(placement.Input{DaemonSet: ds, Nodes: nodes})

		if diff := cmp.Diff(before, ds); diff != "" {
			t.Fatalf("not pure: the DaemonSet was written to (-before +after):\n%s", diff)
		}
		for i := range list {
			list[0], list[i] = list[i], list[0]
		}
		if diff := cmp.Diff(answerOf(decision.Outcome), answerOf(compile(t, list...).Decide(placement.Input{DaemonSet: ds, Nodes: nodes}).Outcome)); diff != "" {
			t.Fatalf("not deterministic: another order of the policies, another decision (-first +second):\n%s", diff)
		}
		if decision.Denied() != nil {
			return
		}
		patched := apply(t, ds, decision.Patch)
		if again := compile(t, list...).Decide(placement.Input{DaemonSet: patched}); len(again.Patch) > 0 {
			t.Fatalf("not idempotent: after %s there is left %s", decision.Patch.AppendJSON(nil), again.Patch.AppendJSON(nil))
		}
		if ds.Annotations[placement.InjectedAnnotation] != "" {
			return // berth's own value gives way to another: that moves, it does not narrow.
		}
		for _, n := range nodes {
			one := placement.NodeList{n}
			was, _ := one.Count(&ds.Spec.Template.Spec)
			is, _ := one.Count(&patched.Spec.Template.Spec)
			if is > was {
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
		decision := policies.Decide(placement.Input{DaemonSet: ds, Nodes: placement.NodeList{node("n", nil)}})
		for _, w := range decision.Warnings {
			if len(w) > 120 {
				t.Errorf("a warning of %d characters: %s", len(w), w)
			}
		}
		if decision.Denied() == nil {
			apply(t, ds, decision.Patch)
		}
		policies.Decide(placement.Input{DaemonSet: ds, Old: &appsv1.DaemonSet{}, TemplateChanged: true})
	})
}

func TestRequirementsGoIntoEveryTermThatCanMatch(t *testing.T) {
	ds := daemonSet(t, tutorial)
	ds.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "app", Operator: "In", Values: []string{"example", "a"}}}
	withAffinity(t, ds, `[{matchExpressions: [{key: disk, operator: Exists}]}, {}, {matchFields: [{key: metadata.name, operator: In, values: [n-1]}]}, {matchExpressions: [{key: app, operator: In, values: [a, example]}]}]`)
	got := answerOf(compile(t, policy(t, "own-label", ownLabel)).Decide(placement.Input{DaemonSet: ds}).Outcome)
	const terms = "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms"
	want := answer{Patch: `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"app":"example"}},` +
		`{"op":"add","path":"` + terms + `/0/matchExpressions/-","value":{"key":"app","operator":"In","values":["a","example"]}},` +
		`{"op":"add","path":"` + terms + `/2/matchExpressions","value":[{"key":"app","operator":"In","values":["a","example"]}]},` +
		`{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"nodeSelector\":{\"app\":\"example\"},\"nodeRequirements\":[{\"key\":\"app\",\"operator\":\"In\",\"values\":[\"a\",\"example\"]}]}"}}]`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decide (-want +got):\n%s", diff)
	}
}

func TestRequiredNodeAffinityIsMadeWithTheParentsThatAreMissing(t *testing.T) {
	const expression = `{"matchExpressions":[{"key":"app","operator":"Exists"}]}`
	tests := map[string]struct {
		affinity *corev1.Affinity
		want     string
	}{
		"affinity": {
			want: `{"op":"add","path":"/spec/template/spec/affinity","value":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[` + expression + `]}}}}`,
		},
		"nodeAffinity": {
			affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}},
			want:     `{"op":"add","path":"/spec/template/spec/affinity/nodeAffinity","value":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[` + expression + `]}}}`,
		},
		"requiredDuringSchedulingIgnoredDuringExecution": {
			affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}},
			want:     `{"op":"add","path":"/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution","value":{"nodeSelectorTerms":[` + expression + `]}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ds := daemonSet(t, tutorial)
			ds.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Exists"}}}
			ds.Spec.Template.Spec.Affinity = test.affinity
			decision := compile(t, policy(t, "own-label", ownLabel)).Decide(placement.Input{DaemonSet: ds})
			if diff := cmp.Diff(test.want, strings.TrimPrefix(string(decision.Patch[:1].AppendJSON(nil)[:len(test.want)+1]), "[")); diff != "" {
				t.Errorf("first operation (-want +got):\n%s", diff)
			}
			apply(t, ds, decision.Patch)
		})
	}
}

// The core is a function. What it imports is what it can do.
func TestTheCoreImportsNothingThatActs(t *testing.T) {
	allowed := []string{
		"cmp", "encoding/json", "fmt", "maps", "slices", "strconv", "strings",
		"k8s.io/api/", "k8s.io/apimachinery/", "k8s.io/component-helpers/", "berth.dev/berth/api/",
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
	imports:
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			for _, prefix := range allowed {
				if path == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix) {
					continue imports
				}
			}
			t.Errorf("%s imports %s: placement is pure, and this is not on its list", entry.Name(), path)
		}
	}
}
