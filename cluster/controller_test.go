package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/cluster"
	"berth.dev/berth/e2e/apiserver"
	"berth.dev/berth/e2e/testbed"
	"berth.dev/berth/placement"
)

const (
	nodeSets         = 10
	daemonSetsOfEach = 32
	nodesOfEach      = 6
	roundLabel       = "round"
)

// controllerBed is a control plane whose nodes no kubelet keeps: their conditions are what the test says.
type controllerBed struct {
	*testbed.ControlPlane
	*rand.Rand
}

// The nodes that berth predicts are the ones that the real DaemonSet controller makes pods for, of every pair of a
// generated DaemonSet and a generated set of nodes.
func TestPredictedNodesAreThoseThatTheDaemonSetControllerMakesPodsFor(t *testing.T) {
	plane, err := testbed.Start(t.Context(), testbed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	bed := controllerBed{plane, rand.New(rand.NewPCG(1, 2))}
	for i := range nodesOfEach {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName(i)}}
		if _, err := bed.Client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	apiserver.Eventually(t, "the ServiceAccount that pods need", func() bool {
		_, err := bed.Client.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	pairs, sizes := 0, map[int]int{}
	for round := range nodeSets {
		nodes := bed.drawNodes(t, round)
		daemonSets := bed.drawDaemonSets(t, round)
		chosen := bed.chosen(t, daemonSets)
		if diff := cmp.Diff(nodes, bed.nodes(t), cmp.Transformer("facts", facts)); diff != "" {
			t.Fatalf("the nodes have changed meanwhile (-before +after):\n%s", diff)
		}
		for _, ds := range daemonSets {
			predicted := predict(t, nodes, &placement.ObjectOf(ds).Template)
			if diff := cmp.Diff(chosen[ds.UID], predicted); diff != "" {
				t.Errorf("nodes of %s (-controller +berth):\n%s\npod %+v\nnodes %+v", ds.Name, diff, ds.Spec.Template.Spec, facts(nodes))
			}
			pairs++
			sizes[len(predicted)]++
		}
		bed.deleteDaemonSets(t)
	}
	t.Logf("%d pairs; by the number of nodes chosen: %v", pairs, sizes)
	if sizes[0] == 0 || sizes[nodesOfEach] == 0 || len(sizes) < nodesOfEach {
		t.Errorf("the pairs are too much alike: by the number of nodes chosen %v", sizes)
	}
}

func nodeName(i int) string { return fmt.Sprintf("n-%d", i) }

// predict asks the index about each node alone, and holds it against the plain list and the index of all nodes.
func predict(t *testing.T, nodes []corev1.Node, template *placement.Template) (names []string) {
	t.Helper()
	var all []cluster.NodeChange
	var list placement.NodeList
	for i := range nodes {
		change := cluster.NodeChange{Name: nodes[i].Name, Labels: nodes[i].Labels, Taints: nodes[i].Spec.Taints}
		if (&cluster.NodeIndex{}).Apply([]cluster.NodeChange{change}).Survey(nil, template).Eligible == 1 {
			names = append(names, nodes[i].Name)
		}
		all, list = append(all, change), append(list, &nodes[i])
	}
	want := list.Survey(nil, template)
	if diff := cmp.Diff(want, (&cluster.NodeIndex{}).Apply(all).Survey(nil, template)); diff != "" || want.Eligible != len(names) {
		t.Errorf("one by one %v, as a list and as an index (-list +index):\n%s", names, diff)
	}
	return names
}

// facts is what the predicate reads of nodes.
func facts(nodes []corev1.Node) map[string]any {
	read := map[string]any{}
	for i := range nodes {
		var taints []string
		for _, taint := range nodes[i].Spec.Taints {
			taints = append(taints, taint.ToString())
		}
		slices.Sort(taints)
		read[nodes[i].Name] = []any{nodes[i].Labels, taints}
	}
	return read
}

func (b controllerBed) nodes(t *testing.T) []corev1.Node {
	t.Helper()
	list, err := b.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// chosen waits until the controller has made all pods, and returns the nodes that they are for.
func (b controllerBed) chosen(t *testing.T, daemonSets []*appsv1.DaemonSet) map[types.UID][]string {
	t.Helper()
	chosen := map[types.UID][]string{}
	apiserver.Eventually(t, "the controller has made all pods", func() bool {
		list, err := b.Client.AppsV1().DaemonSets("default").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		desired := map[types.UID]int{}
		for i := range list.Items {
			if ds := &list.Items[i]; ds.Status.ObservedGeneration == ds.Generation &&
				ds.Status.CurrentNumberScheduled == ds.Status.DesiredNumberScheduled && ds.Status.NumberMisscheduled == 0 {
				desired[ds.UID] = int(ds.Status.DesiredNumberScheduled)
			}
		}
		clear(chosen)
		for _, pod := range b.pods(t) {
			owner := metav1.GetControllerOf(&pod).UID
			chosen[owner] = append(chosen[owner], meantFor(&pod))
			slices.Sort(chosen[owner])
		}
		return !slices.ContainsFunc(daemonSets, func(ds *appsv1.DaemonSet) bool {
			n, settled := desired[ds.UID]
			return !settled || n != len(chosen[ds.UID])
		})
	})
	return chosen
}

func (b controllerBed) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := b.Client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

// meantFor is the node for which the controller has made a pod.
func meantFor(pod *corev1.Pod) string {
	return pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0]
}

func (b controllerBed) deleteDaemonSets(t *testing.T) {
	t.Helper()
	now := int64(0)
	background := metav1.DeletePropagationBackground
	err := b.Client.AppsV1().DaemonSets("default").DeleteCollection(t.Context(), metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// No kubelet ends the pods that are bound.
	if err := b.Client.CoreV1().Pods("default").DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
}

// drawDaemonSets creates DaemonSets.
func (b controllerBed) drawDaemonSets(t *testing.T, round int) (created []*appsv1.DaemonSet) {
	t.Helper()
	for i := range daemonSetsOfEach {
		name := fmt.Sprintf("ds-%d-%d", round, i)
		created = append(created, b.createDaemonSet(t.Context(), t, name, b.drawPod()))
	}
	return created
}

func (b controllerBed) createDaemonSet(ctx context.Context, t *testing.T, name string, pod corev1.PodSpec) *appsv1.DaemonSet {
	t.Helper()
	labels := map[string]string{"ds": name}
	pod.Containers = []corev1.Container{{Name: "c", Image: "i"}}
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: name}}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	ds.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod}
	stored, err := b.Client.AppsV1().DaemonSets("default").Create(ctx, ds, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("%v\npod %+v", err, pod)
	}
	return stored
}

// drawNodes gives the nodes other labels, taints and conditions, and waits until every controller knows them.
func (b controllerBed) drawNodes(t *testing.T, round int) []corev1.Node {
	t.Helper()
	wanted := map[string][]string{}
	for i := range nodesOfEach {
		wanted[nodeName(i)] = b.drawNode(t, nodeName(i))
	}
	settled := func() bool {
		got := map[string][]string{}
		for _, node := range b.nodes(t) {
			got[node.Name] = nil
			for _, taint := range node.Spec.Taints {
				got[node.Name] = append(got[node.Name], taint.ToString())
			}
			slices.Sort(got[node.Name])
		}
		return maps.EqualFunc(got, wanted, slices.Equal)
	}
	apiserver.Eventually(t, "the node lifecycle controller has tainted the nodes", settled)

	// When the controller makes pods by the last label of all, it knows everything before it.
	for i := range nodesOfEach {
		b.patchNode(t, nodeName(i), fmt.Sprintf(`[{"op":"add","path":"/metadata/labels/%s","value":"%d"}]`, roundLabel, round))
	}
	canary := b.createDaemonSet(t.Context(), t, fmt.Sprintf("canary-%d", round), corev1.PodSpec{
		NodeSelector: map[string]string{roundLabel: strconv.Itoa(round)},
		Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
	})
	apiserver.Eventually(t, "the DaemonSet controller knows the nodes", func() bool {
		n := 0
		for _, pod := range b.pods(t) {
			if metav1.GetControllerOf(&pod).UID == canary.UID {
				n++
			}
		}
		return n == nodesOfEach
	})
	return b.nodes(t)
}

func (b controllerBed) patchNode(t *testing.T, name, patch string, subresources ...string) {
	t.Helper()
	_, err := b.Client.CoreV1().Nodes().Patch(t.Context(), name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, subresources...)
	if err != nil {
		t.Fatalf("patch node %s with %s: %v", name, patch, err)
	}
}
