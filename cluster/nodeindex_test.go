package cluster_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

type count struct{ Matching, Total int }

func countOf(nodes placement.Nodes, spec *corev1.PodSpec) count {
	matching, total := nodes.Count(spec)
	return count{matching, total}
}

// world is the same nodes twice: as the index under test, changed step by step,
// and as plain facts, from which the expected answers come.
type world struct {
	index *cluster.NodeIndex
	facts map[string]map[string]string
}

func newWorld() *world {
	return &world{index: &cluster.NodeIndex{}, facts: map[string]map[string]string{}}
}

func (w *world) apply(changes []cluster.NodeChange) {
	w.index = w.index.Apply(changes)
	for _, change := range changes {
		if change.Gone {
			delete(w.facts, change.Name)
		} else {
			w.facts[change.Name] = change.Labels
		}
	}
}

func (w *world) list() placement.NodeList {
	var list placement.NodeList
	for _, name := range slices.Sorted(maps.Keys(w.facts)) {
		list = append(list, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: w.facts[name]}})
	}
	return list
}

// dice draws nodes, changes and pod specs from few names, so that they meet.
// Some are malformed.
type dice struct{ *rand.Rand }

func (d dice) of(choices ...string) string { return choices[d.IntN(len(choices))] }

func (d dice) key() string {
	return d.of("app", "zone", "size", "kubernetes.io/hostname", "not a key", "")
}

func (d dice) value() string { return d.of("a", "b", "", "1", "5", "-3", "12x", "007", "not a value!") }

func (d dice) name() string { return fmt.Sprintf("n-%d", d.IntN(150)) }

func (d dice) labels() map[string]string {
	labels := map[string]string{}
	for range d.IntN(4) {
		labels[d.key()] = d.value()
	}
	return labels
}

func (d dice) changes() []cluster.NodeChange {
	changes := make([]cluster.NodeChange, d.IntN(40))
	for i := range changes {
		changes[i] = cluster.NodeChange{Name: d.name(), Labels: d.labels()}
		if d.IntN(3) == 0 {
			changes[i] = cluster.NodeChange{Name: d.name(), Gone: true}
		}
	}
	return changes
}

func (d dice) requirement(key string) corev1.NodeSelectorRequirement {
	operators := []string{"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "in", ""}
	requirement := corev1.NodeSelectorRequirement{
		Key:      key,
		Operator: corev1.NodeSelectorOperator(d.of(operators...)),
	}
	values := d.IntN(3)
	if requirement.Operator == "Gt" || requirement.Operator == "Lt" {
		values = 1
	}
	for range values {
		requirement.Values = append(requirement.Values, d.value())
	}
	return requirement
}

func (d dice) term() corev1.NodeSelectorTerm {
	var term corev1.NodeSelectorTerm
	for range d.IntN(3) {
		term.MatchExpressions = append(term.MatchExpressions, d.requirement(d.of("app", "zone", "size", d.key())))
	}
	if d.IntN(3) == 0 {
		field := d.requirement(d.of("metadata.name", "metadata.name", "spec.unschedulable", ""))
		field.Values = []string{d.of(d.name(), d.name(), "")}
		term.MatchFields = append(term.MatchFields, field)
	}
	return term
}

func (d dice) spec() *corev1.PodSpec {
	spec := &corev1.PodSpec{}
	for range d.IntN(3) {
		if spec.NodeSelector == nil {
			spec.NodeSelector = map[string]string{}
		}
		spec.NodeSelector[d.key()] = d.value()
	}
	switch d.IntN(6) {
	case 0:
	case 1:
		spec.Affinity = &corev1.Affinity{}
	case 2:
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
	default:
		required := &corev1.NodeSelector{}
		for range d.IntN(4) {
			required.NodeSelectorTerms = append(required.NodeSelectorTerms, d.term())
		}
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: required,
		}}
	}
	return spec
}

func checkAgainstBruteForce(t *testing.T, seed uint64) {
	t.Helper()
	d := dice{rand.New(rand.NewPCG(seed, seed))}
	w := newWorld()
	for range 8 {
		w.apply(d.changes())
		list := w.list()
		for range 40 {
			spec := d.spec()
			if diff := cmp.Diff(countOf(list, spec), countOf(w.index, spec)); diff != "" {
				t.Fatalf("seed %d: the index counts other nodes than component-helpers for %v (-want +got):\n%s", seed, spec, diff)
			}
		}
	}
}

func TestTheIndexCountsTheNodesThatTheSchedulerWould(t *testing.T) {
	for seed := range uint64(60) {
		checkAgainstBruteForce(t, seed)
	}
}

func FuzzNodeIndexCount(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, "app", "In", "a", "metadata.name", "NotIn", "n-1")
	}
	f.Add(uint64(1), "size", "Gt", "9223372036854775808", "", "In", "")
	f.Fuzz(func(t *testing.T, seed uint64, key, operator, value, fieldKey, fieldOperator, fieldValue string) {
		d := dice{rand.New(rand.NewPCG(seed, seed))}
		w := newWorld()
		w.apply(d.changes())
		w.apply([]cluster.NodeChange{{Name: "n-1", Labels: map[string]string{key: value}}})
		spec := d.spec()
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				d.term(),
				{
					MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOperator(operator), Values: []string{value}}},
					MatchFields:      []corev1.NodeSelectorRequirement{{Key: fieldKey, Operator: corev1.NodeSelectorOperator(fieldOperator), Values: []string{fieldValue}}},
				},
			}},
		}}
		if diff := cmp.Diff(countOf(w.list(), spec), countOf(w.index, spec)); diff != "" {
			t.Fatalf("the index counts other nodes than component-helpers for %v (-want +got):\n%s", spec, diff)
		}
	})
}

func TestAnIndexNeverChangesOncePublished(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(7, 7))}
	specs := make([]*corev1.PodSpec, 50)
	for i := range specs {
		specs[i] = d.spec()
	}
	countsOf := func(index *cluster.NodeIndex) []count {
		counts := make([]count, len(specs))
		for i, spec := range specs {
			counts[i] = countOf(index, spec)
		}
		return counts
	}

	w := newWorld()
	var published []*cluster.NodeIndex
	var before [][]count
	for range 30 {
		w.apply(d.changes())
		published = append(published, w.index)
		before = append(before, countsOf(w.index))
	}
	for i, index := range published {
		if diff := cmp.Diff(before[i], countsOf(index)); diff != "" {
			t.Errorf("later changes reached index %d (-before +after):\n%s", i, diff)
		}
	}
}

func TestAHeartbeatLeavesTheIndexAsItIs(t *testing.T) {
	index := (&cluster.NodeIndex{}).Apply([]cluster.NodeChange{{Name: "n-1", Labels: map[string]string{"app": "example"}}})
	again := index.Apply([]cluster.NodeChange{
		{Name: "n-1", Labels: map[string]string{"app": "example"}},
		{Name: "n-2", Gone: true},
	})
	if again != index {
		t.Error("a batch that changes no label made a new index")
	}
}

func TestTheLastChangeToANodeCounts(t *testing.T) {
	index := (&cluster.NodeIndex{}).Apply([]cluster.NodeChange{
		{Name: "n-1", Labels: map[string]string{"app": "example"}},
		{Name: "n-2", Labels: map[string]string{"app": "other"}},
		{Name: "n-1", Gone: true},
		{Name: "n-2", Labels: map[string]string{"app": "example"}},
	})
	got := countOf(index, &corev1.PodSpec{NodeSelector: map[string]string{"app": "example"}})
	if diff := cmp.Diff(count{Matching: 1, Total: 1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
