package cluster_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// world is the same nodes twice: as the index under test, changed step by step,
// and as plain facts, from which the expected answers come.
type world struct {
	index *cluster.NodeIndex
	facts map[string]cluster.NodeChange
}

func newWorld() *world {
	return &world{index: &cluster.NodeIndex{}, facts: map[string]cluster.NodeChange{}}
}

func (w *world) apply(changes []cluster.NodeChange) {
	w.index = w.index.Apply(changes)
	for _, change := range changes {
		if change.Gone {
			delete(w.facts, change.Name)
		} else {
			w.facts[change.Name] = change
		}
	}
}

func (w *world) list() placement.NodeList {
	var list placement.NodeList
	for _, name := range slices.Sorted(maps.Keys(w.facts)) {
		list = append(list, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: w.facts[name].Labels},
			Spec:       corev1.NodeSpec{Taints: w.facts[name].Taints},
		})
	}
	return list
}

// check holds the index against the plain list.
func (w *world) check(t *testing.T, list placement.NodeList, before, after *placement.Template) {
	t.Helper()
	if diff := cmp.Diff(list.Survey(before, after), w.index.Survey(before, after)); diff != "" {
		t.Fatalf("the index differs from component-helpers before %v after %v (-want +got):\n%s", before, after, diff)
	}
}

func checkAgainstBruteForce(t *testing.T, seed uint64) {
	t.Helper()
	d := dice{rand.New(rand.NewPCG(seed, seed))}
	w := newWorld()
	if seed%6 == 0 {
		w.apply(d.crowd())
	}
	for range 8 {
		w.apply(d.changes())
		list := w.list()
		for range 40 {
			w.check(t, list, d.before(), d.template())
		}
	}
}

func TestTheIndexFindsTheNodesThatTheDaemonSetControllerWould(t *testing.T) {
	for seed := range uint64(60) {
		checkAgainstBruteForce(t, seed)
	}
}

func TestTheIndexFindsATypingErrorInANodesName(t *testing.T) {
	w := newWorld()
	var changes []cluster.NodeChange
	for i := range 1200 {
		name := fmt.Sprintf("ip-10-0-%d-%d.ec2.internal", i/100, i%100)
		changes = append(changes, cluster.NodeChange{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}})
	}
	w.apply(changes)
	for wanted, closest := range map[string]placement.LabelCount{
		"ip-10-0-7-42.ec2.interal": {Key: "kubernetes.io/hostname", Value: "ip-10-0-7-42.ec2.internal", Nodes: 1},
		"worker-7":                 {},
	} {
		pod := &placement.Template{NodeSelector: map[string]string{"kubernetes.io/hostname": wanted}}
		w.check(t, w.list(), nil, pod)
		if diff := cmp.Diff(closest, w.index.Survey(nil, pod).Closest); diff != "" {
			t.Errorf("closest to %s (-want +got):\n%s", wanted, diff)
		}
	}
}

func FuzzNodeIndexSurvey(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, "app", "In", "a", "NoSchedule", "metadata.name")
	}
	f.Add(uint64(1), "size", "Gt", "9223372036854775808", "", "")
	f.Add(uint64(2), "karpenter.sh/nodepool", "Exists", "", "NoExecute", "metadata.name")
	f.Fuzz(func(t *testing.T, seed uint64, key, operator, value, effect, field string) {
		d := dice{rand.New(rand.NewPCG(seed, seed))}
		w := newWorld()
		if seed%6 == 0 {
			w.apply(d.crowd())
		}
		w.apply(d.changes())
		w.apply(append(d.changes(), cluster.NodeChange{
			Name:   "n-1",
			Labels: map[string]string{key: value},
			Taints: append(d.taints(), corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}),
		}))
		before, after := d.before(), d.template()
		after.Affinity = placement.Affinity{Depth: placement.WithRequired, Terms: []corev1.NodeSelectorTerm{
			d.term(),
			{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOperator(operator), Values: []string{value}}},
				MatchFields:      []corev1.NodeSelectorRequirement{{Key: field, Operator: corev1.NodeSelectorOperator(operator), Values: []string{d.of("n-1", value)}}},
			},
		}}
		after.Tolerations = append(after.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOperator(operator), Value: value, Effect: corev1.TaintEffect(effect),
		})
		w.check(t, w.list(), before, after)
		after.Affinity, after.NodeSelector = placement.Affinity{}, map[string]string{key: value + d.of("", "", "x"), d.key(): d.value()}
		w.check(t, w.list(), before, after)
	})
}

func TestAnIndexNeverChangesOncePublished(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(7, 7))}
	specs := make([]*placement.Template, 50)
	for i := range specs {
		specs[i] = d.template()
	}
	surveysOf := func(index *cluster.NodeIndex) []placement.Survey {
		surveys := make([]placement.Survey, len(specs))
		for i, spec := range specs {
			surveys[i] = index.Survey(specs[(i+1)%len(specs)], spec)
		}
		return surveys
	}

	w := newWorld()
	var published []*cluster.NodeIndex
	var before [][]placement.Survey
	for range 30 {
		w.apply(d.changes())
		published = append(published, w.index)
		before = append(before, surveysOf(w.index))
	}
	for i, index := range published {
		if diff := cmp.Diff(before[i], surveysOf(index)); diff != "" {
			t.Errorf("later changes reached index %d (-before +after):\n%s", i, diff)
		}
	}
}

func TestAHeartbeatLeavesTheIndexAsItIs(t *testing.T) {
	node := func(softly string, added int64) cluster.NodeChange {
		return cluster.NodeChange{Name: "n-1", Labels: map[string]string{"app": "example"}, Taints: []corev1.Taint{
			{Key: "DeletionCandidateOfClusterAutoscaler", Value: softly, Effect: corev1.TaintEffectPreferNoSchedule},
			{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute, TimeAdded: &metav1.Time{Time: time.Unix(added, 0)}},
		}}
	}
	index := (&cluster.NodeIndex{}).Apply([]cluster.NodeChange{node("1700000000", 1)})
	if again := index.Apply([]cluster.NodeChange{node("1700000600", 2), {Name: "n-2", Gone: true}}); again != index {
		t.Error("a batch that changes no label and no taint that matters made a new index")
	}
}

func TestTheLastChangeToANodeCounts(t *testing.T) {
	blocked := []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
	index := (&cluster.NodeIndex{}).Apply([]cluster.NodeChange{
		{Name: "n-1", Labels: map[string]string{"app": "example"}},
		{Name: "n-2", Labels: map[string]string{"app": "other"}},
		{Name: "n-3", Labels: map[string]string{"app": "example"}},
		{Name: "n-1", Gone: true},
		{Name: "n-2", Labels: map[string]string{"app": "example"}},
		{Name: "n-3", Labels: map[string]string{"app": "example"}, Taints: blocked},
	})
	got := index.Survey(nil, &placement.Template{NodeSelector: map[string]string{"app": "example"}})
	if diff := cmp.Diff(placement.Survey{Total: 2, Eligible: 1, Blocked: 1, Taint: placement.TaintCount{Taint: "gpu:NoSchedule", Nodes: 1, Alone: 1}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
