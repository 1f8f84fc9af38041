package coverage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/coverage"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// agents is a DaemonSet for the pool a, of which the controller has seen everything.
func agents() *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent", UID: "u", Generation: 2}}
	ds.Spec.Template.Spec.NodeSelector = map[string]string{"pool": "a"}
	ds.Status.ObservedGeneration = 2
	return ds
}

// podOn is a ready pod of the current template, on the node n-1 unless edit says otherwise.
func podOn(name string, edit ...func(*corev1.Pod)) *corev1.Pod {
	controller := true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{appsv1.DefaultDaemonSetUniqueLabelKey: "now"},
			OwnerReferences: []metav1.OwnerReference{{UID: "u", Controller: &controller}},
		},
		Spec: corev1.PodSpec{NodeName: "n-1"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{
			Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Minute)),
		}}},
	}
	for _, e := range edit {
		e(pod)
	}
	return pod
}

func deleting(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: now} }

func earlier(pod *corev1.Pod) { pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey] = "before" }

// unready has a status that is not ready, with these containers.
func unready(phase corev1.PodPhase, containers ...corev1.ContainerStatus) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status = corev1.PodStatus{Phase: phase, ContainerStatuses: containers}
	}
}

func waiting(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: "c", Image: "agent:2", State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
	}}
}

// without has no node yet, and what the scheduler says of that.
func without(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.NodeName = ""
		pod.Spec.Affinity = required()
		pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms = []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n-1"}}},
		}}
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
		if reason != "" {
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: message}}
		}
	}
}

func TestANodeThatIsSelectedIsInTheStateOfItsPod(t *testing.T) {
	crashed := waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container=c pod=agent-x1")
	crashed.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
	started := corev1.ContainerStatus{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	const noCPU = "0/6 nodes are available: 1 Insufficient cpu, 5 node(s) didn't satisfy plugin(s) [NodeAffinity]. " +
		"no new claims to deallocate, preemption: 0/6 nodes are available: 1 No preemption victims found for incoming pod, 5 Preemption is not helpful for scheduling."
	tests := map[string]struct {
		pods []*corev1.Pod
		want coverage.Node
	}{
		"none":                    {nil, coverage.Node{State: coverage.Missing, Reason: "no pod yet"}},
		"ready":                   {[]*corev1.Pod{podOn("p")}, coverage.Node{State: coverage.Running, Pod: "p"}},
		"of the earlier template": {[]*corev1.Pod{podOn("p", earlier)}, coverage.Node{State: coverage.Running, Pod: "p", Outdated: true, Reason: "of an earlier template, to be replaced"}},
		"being deleted":           {[]*corev1.Pod{podOn("p", deleting)}, coverage.Node{State: coverage.OnItsWay, Pod: "p", Reason: "the pod is being deleted, and another one follows"}},
		"a new one beside one that goes": {
			[]*corev1.Pod{podOn("old", earlier, deleting), podOn("new", unready(corev1.PodPending, waiting("ContainerCreating", "")))},
			coverage.Node{State: coverage.OnItsWay, Pod: "new", Reason: "the pod is starting"},
		},
		"a surge that hangs": {
			[]*corev1.Pod{podOn("old", earlier), podOn("new", unready(corev1.PodPending, waiting("ImagePullBackOff", "Back-off")))},
			coverage.Node{State: coverage.Missing, Pod: "new", Reason: "container c: image agent:2 cannot be pulled (ImagePullBackOff); a pod of the earlier template runs until then"},
		},
		"no config": {
			[]*corev1.Pod{podOn("p", unready(corev1.PodPending, waiting("CreateContainerConfigError", `configmap "x" not found`)))},
			coverage.Node{State: coverage.Missing, Pod: "p", Reason: `container c: CreateContainerConfigError: configmap "x" not found`},
		},
		"crashing":     {[]*corev1.Pod{podOn("p", unready(corev1.PodRunning, crashed))}, coverage.Node{State: coverage.Missing, Pod: "p", Reason: "container c: CrashLoopBackOff, last ended with exit code 137 (OOMKilled)"}},
		"a probe":      {[]*corev1.Pod{podOn("p", unready(corev1.PodRunning, started))}, coverage.Node{State: coverage.NotReady, Pod: "p", Reason: "container c is not ready"}},
		"unscheduled":  {[]*corev1.Pod{podOn("p", without("", ""))}, coverage.Node{State: coverage.OnItsWay, Pod: "p", Reason: "the pod waits for the scheduler"}},
		"no room":      {[]*corev1.Pod{podOn("p", without("Unschedulable", noCPU))}, coverage.Node{State: coverage.Unschedulable, Pod: "p", Reason: "no room on the node: Insufficient cpu"}},
		"another pod":  {[]*corev1.Pod{podOn("p", without("Unschedulable", "0/6 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 5 node(s) didn't satisfy plugin(s) [NodeAffinity]. x"))}, coverage.Node{State: coverage.Unschedulable, Pod: "p", Reason: "other pods are in the way: node(s) didn't match pod anti-affinity rules"}},
		"other words":  {[]*corev1.Pod{podOn("p", without("Unschedulable", "who knows"))}, coverage.Node{State: coverage.Unschedulable, Pod: "p", Reason: "the scheduler says: who knows"}},
		"evicted":      {[]*corev1.Pod{podOn("p", func(p *corev1.Pod) { p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"} })}, coverage.Node{State: coverage.Missing, Pod: "p", Reason: "the pod has ended: Evicted"}},
		"another node": {[]*corev1.Pod{podOn("p", func(p *corev1.Pod) { p.Spec.NodeName = "n-2" })}, coverage.Node{State: coverage.Missing, Reason: "no pod yet"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.want.Name = "n-1"
			facts := &coverage.Facts{
				DaemonSet: agents(), Nodes: []*corev1.Node{node("n-1", map[string]string{"pool": "a"})}, Pods: test.pods, Revision: "now", Now: now,
			}
			if diff := cmp.Diff(test.want, coverage.Live(facts)[0]); diff != "" {
				t.Errorf("the node (-want +got):\n%s", diff)
			}
		})
	}
}

func TestANodeThatIsNotSelectedSaysWhetherItsPodStays(t *testing.T) {
	inPool := map[string]string{"pool": "a"}
	noSchedule, noExecute := corev1.Taint{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}, corev1.Taint{Key: "gpu", Effect: corev1.TaintEffectNoExecute}
	on := func(name string) *corev1.Pod {
		return podOn("pod-"+name, func(p *corev1.Pod) { p.Spec.NodeName = name })
	}
	ds := agents()
	got := coverage.Live(&coverage.Facts{DaemonSet: ds, Revision: "now", Now: now, Nodes: []*corev1.Node{
		node("excluded", nil), node("left", nil), node("tainted", inPool, noSchedule), node("tainted-later", inPool, noSchedule), node("drained", inPool, noExecute),
	}, Pods: []*corev1.Pod{on("left"), on("tainted-later"), on("drained"), on("gone")}})
	label, taint, evicts := &coverage.Why{Labels: []string{"pool=a"}}, &coverage.Why{Taints: []string{"gpu:NoSchedule"}}, &coverage.Why{Taints: []string{"gpu:NoExecute"}, Evicts: true}
	const noLabel, notTolerated = "no label pool=a", "taint gpu:NoSchedule is not tolerated"
	want := []coverage.Node{
		{Name: "drained", State: coverage.Leaving, Pod: "pod-drained", Reason: "taint gpu:NoExecute is not tolerated", Why: evicts},
		{Name: "excluded", State: coverage.Excluded, Reason: noLabel, Why: label},
		{Name: "gone", State: coverage.Leaving, Pod: "pod-gone", Reason: "the node is gone"},
		{Name: "left", State: coverage.Leaving, Pod: "pod-left", Reason: noLabel, Why: label},
		{Name: "tainted", State: coverage.Tainted, Reason: notTolerated, Why: taint},
		{Name: "tainted-later", State: coverage.RunsUntilReplaced, Pod: "pod-tainted-later", Reason: notTolerated, Why: taint},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(coverage.Counts{Total: 5}, coverage.Count(got)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestWithoutAPodItIsTheControllersTurn(t *testing.T) {
	ds := agents()
	facts := &coverage.Facts{DaemonSet: ds, Nodes: []*corev1.Node{node("n-1", map[string]string{"pool": "a"})}, CreateError: "exceeded quota", Now: now}
	want := coverage.Node{Name: "n-1", State: coverage.Missing, Reason: "the DaemonSet controller cannot create the pod: exceeded quota"}
	if diff := cmp.Diff(want, coverage.Live(facts)[0]); diff != "" {
		t.Errorf("the node (-want +got):\n%s", diff)
	}
	ds.Generation++
	want = coverage.Node{Name: "n-1", State: coverage.OnItsWay, Reason: "the DaemonSet controller has not seen the last change yet"}
	if diff := cmp.Diff(want, coverage.Live(facts)[0]); diff != "" {
		t.Errorf("the node (-want +got):\n%s", diff)
	}
}

func TestAPodIsAvailableWhenItHasBeenReadyForLongEnough(t *testing.T) {
	ds := agents()
	facts := &coverage.Facts{DaemonSet: ds, Nodes: []*corev1.Node{node("n-1", map[string]string{"pool": "a"})}, Pods: []*corev1.Pod{podOn("p")}, Now: now}
	for seconds, want := range map[int32]coverage.State{0: coverage.Running, 60: coverage.Running, 61: coverage.OnItsWay} {
		ds.Spec.MinReadySeconds = seconds
		if got := coverage.Live(facts)[0]; got.State != want {
			t.Errorf("minReadySeconds %d, ready for a minute: %s, want %s", seconds, got.State, want)
		}
	}
}

func TestAPodOnANodeThatIsDownIsNotReadyForThatReason(t *testing.T) {
	down := node("n-1", map[string]string{"pool": "a"})
	down.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
	facts := &coverage.Facts{DaemonSet: agents(), Nodes: []*corev1.Node{down}, Pods: []*corev1.Pod{podOn("p", deleting)}, Now: now}
	want := coverage.Node{Name: "n-1", State: coverage.NotReady, Pod: "p", Reason: "the node is not ready"}
	if diff := cmp.Diff(want, coverage.Live(facts)[0]); diff != "" {
		t.Errorf("the node (-want +got):\n%s", diff)
	}
}

func TestOnlyWhatTheDaemonSetControlsCounts(t *testing.T) {
	ds := agents()
	stranger := podOn("stranger", func(p *corev1.Pod) { p.OwnerReferences[0].UID = types.UID("other") })
	got := coverage.Controlled(ds, []corev1.Pod{*stranger, *podOn("own"), *podOn("orphan", func(p *corev1.Pod) { p.OwnerReferences = nil })})
	if len(got) != 1 || got[0].Name != "own" {
		t.Errorf("controlled: %v", got)
	}
	revision := func(hash string, number int64, owner types.UID) appsv1.ControllerRevision {
		controller := true
		return appsv1.ControllerRevision{Revision: number, ObjectMeta: metav1.ObjectMeta{
			Labels:          map[string]string{appsv1.DefaultDaemonSetUniqueLabelKey: hash},
			OwnerReferences: []metav1.OwnerReference{{UID: owner, Controller: &controller}},
		}}
	}
	revisions := []appsv1.ControllerRevision{revision("b", 2, "u"), revision("undone", 3, "u"), revision("a", 1, "u"), revision("other", 9, "x")}
	if got := coverage.CurrentRevision(ds, revisions); got != "undone" {
		t.Errorf("the current revision is %q", got)
	}
}

func TestNodesAreGroupedByStateAndReasonInTheOrderOfTheStates(t *testing.T) {
	got := coverage.Grouped([]coverage.Node{
		{Name: "n-1", State: coverage.Excluded, Reason: "b"}, {Name: "n-2", State: coverage.Running, Pod: "p"}, {Name: "n-3", State: coverage.Excluded, Reason: "a"},
		{Name: "n-4", State: coverage.Missing, Reason: "a"}, {Name: "n-5", State: coverage.Excluded, Reason: "b"},
	})
	want := []coverage.StateGroup{
		{State: coverage.Running, Nodes: []coverage.NodePod{{Node: "n-2", Pod: "p"}}},
		{State: coverage.Missing, Reason: "a", Nodes: []coverage.NodePod{{Node: "n-4"}}},
		{State: coverage.Excluded, Reason: "b", Nodes: []coverage.NodePod{{Node: "n-1"}, {Node: "n-5"}}},
		{State: coverage.Excluded, Reason: "a", Nodes: []coverage.NodePod{{Node: "n-3"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestWhyNamesTheExpressionsOfEveryTerm(t *testing.T) {
	in := func(key string) corev1.NodeSelectorRequirement {
		return corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{"x"}}
	}
	ds := agents()
	ds.Spec.Template.Spec.NodeSelector = nil
	ds.Spec.Template.Spec.Affinity = required(in("a"), in("b"), in("c"))
	facts := &coverage.Facts{DaemonSet: ds, Nodes: []*corev1.Node{node("n-1", map[string]string{"b": "x"})}, Now: now}
	reason := func() string { return coverage.Live(facts)[0].Reason }
	if got, want := reason(), "required expressions a In [x] and c In [x] are not met"; got != want {
		t.Errorf("one term: %q, want %q", got, want)
	}
	terms := &ds.Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	*terms = append(*terms, corev1.NodeSelectorTerm{}, corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{
		{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n-2"}},
	}})
	if got, want := reason(), "none of the required terms is met: a In [x] and c In [x]; an empty one, which no node meets; metadata.name In [n-2]"; got != want {
		t.Errorf("three terms: %q, want %q", got, want)
	}
}
