package coverage

import (
	"cmp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// State is how things stand between a DaemonSet and one node.
type State string

// The states: first those of nodes that it should run on, then those of nodes that it should not.
const (
	// Running: its pod is there and available.
	Running State = "Running"
	// OnItsWay: its pod is being made, started or replaced, and nothing says that it cannot be.
	OnItsWay State = "OnItsWay"
	// NotReady: its pod runs, and is not ready.
	NotReady State = "NotReady"
	// Unschedulable: its pod is there, and the scheduler finds no room for it on the node.
	Unschedulable State = "Unschedulable"
	// Missing: there is no pod, or it does not start.
	Missing State = "Missing"
	// RunsUntilReplaced: a taint that came later keeps new pods off the node; the one that is there stays until it is replaced.
	RunsUntilReplaced State = "RunsUntilReplaced"
	// Leaving: its pod is there, and the DaemonSet controller deletes it.
	Leaving State = "Leaving"
	// Tainted: the node is selected, and has a taint that is not tolerated.
	Tainted State = "Tainted"
	// Excluded: the node is not selected.
	Excluded State = "Excluded"
)

// States lists them in their order.
func States() []State {
	return []State{Running, OnItsWay, NotReady, Unschedulable, Missing, RunsUntilReplaced, Leaving, Tainted, Excluded}
}

// ShouldRun says whether a pod should run on a node in this state.
func (s State) ShouldRun() bool {
	switch s {
	case Running, OnItsWay, NotReady, Unschedulable, Missing, WouldRun:
		return true
	case RunsUntilReplaced, Leaving, Tainted, Excluded:
	}
	return false
}

// Node is one node as a DaemonSet sees it.
type Node struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Reason is why; empty where it runs as it should.
	Reason string `json:"reason,omitempty"`
	// Pod is the name of the pod that is meant for the node.
	Pod string `json:"pod,omitempty"`
	// Outdated says that the pod is made of an earlier template.
	Outdated bool `json:"outdated,omitempty"`
	// Why is all that keeps pods off the node; nil where nothing does.
	Why *Why `json:"why,omitempty"`
}

// Facts is what the cluster has of one DaemonSet.
type Facts struct {
	DaemonSet *appsv1.DaemonSet
	Nodes     []*corev1.Node
	// Pods are those that the DaemonSet controls, see Controlled.
	Pods []*corev1.Pod
	// Revision is the controller-revision-hash of the current template; empty: it is not known.
	Revision string
	// CreateError is why the DaemonSet controller cannot create pods; empty: nothing is known of that.
	CreateError string
	// Now is the time, for minReadySeconds.
	Now time.Time
}

// Live returns the state of each node, by name. A pod on a node that is gone has an entry too.
func Live(f *Facts) []Node {
	p := newPredicate(&f.DaemonSet.Spec.Template)
	pods := map[string][]*corev1.Pod{}
	for _, pod := range f.Pods {
		if node := targetOf(pod); node != "" {
			pods[node] = append(pods[node], pod)
		}
	}
	all := make([]Node, 0, len(f.Nodes))
	for _, node := range f.Nodes {
		why := p.why(node)
		n := Node{Name: node.Name}
		if why.String() == "" {
			f.should(&n, node, pods[node.Name])
		} else {
			n.Why = &why
			f.shouldNot(&n, pods[node.Name])
		}
		delete(pods, node.Name)
		all = append(all, n)
	}
	for name, left := range pods {
		all = append(all, Node{Name: name, State: Leaving, Reason: "the node is gone", Pod: left[0].Name})
	}
	slices.SortFunc(all, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// should is for a node that a pod should run on.
func (f *Facts) should(n *Node, node *corev1.Node, pods []*corev1.Pod) {
	pod := f.foremost(pods)
	if pod == nil {
		f.withoutPod(n)
		return
	}
	n.Pod, n.Outdated = pod.Name, f.outdated(pod)
	n.State, n.Reason = f.stateOf(pod)
	switch {
	case n.State == Running && n.Outdated && f.DaemonSet.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType:
		n.Reason = "of an earlier template: updateStrategy OnDelete replaces the pod when somebody deletes it"
	case n.State == Running && n.Outdated:
		n.Reason = "of an earlier template, to be replaced"
	case n.State != Running && pod.Spec.NodeName != "" && !isReadyNode(node):
		n.State, n.Reason = NotReady, "the node is not ready"
	case n.State != Running && slices.ContainsFunc(pods, func(other *corev1.Pod) bool { return other != pod && isReady(other) }):
		n.Reason += "; a pod of the earlier template runs until then"
	}
}

func (f *Facts) withoutPod(n *Node) {
	switch {
	case f.DaemonSet.Status.ObservedGeneration < f.DaemonSet.Generation:
		n.State, n.Reason = OnItsWay, "the DaemonSet controller has not seen the last change yet"
	case f.DaemonSet.DeletionTimestamp != nil:
		n.State, n.Reason = Missing, "the DaemonSet is being deleted"
	case f.CreateError != "":
		n.State, n.Reason = Missing, "the DaemonSet controller cannot create the pod: "+f.CreateError
	default:
		n.State, n.Reason = Missing, "no pod yet"
	}
}

// shouldNot is for a node that no pod should run on.
func (f *Facts) shouldNot(n *Node, pods []*corev1.Pod) {
	n.State, n.Reason = Excluded, n.Why.String()
	if n.Why.Selected() {
		n.State = Tainted
	}
	pod := f.foremost(pods)
	if pod == nil {
		return
	}
	n.Pod, n.Outdated = pod.Name, f.outdated(pod)
	switch stays := n.Why.Selected() && !n.Why.Evicts && pod.DeletionTimestamp == nil; {
	case !stays:
		n.State = Leaving
	case pod.Spec.NodeName != "":
		n.State = RunsUntilReplaced
	}
}

// foremost is the pod to speak of: one that stays before one that goes, of the current template before an earlier one, and then
// the newest; nil where there is none.
func (f *Facts) foremost(pods []*corev1.Pod) *corev1.Pod {
	if len(pods) == 0 {
		return nil
	}
	rank := func(pod *corev1.Pod) int {
		switch {
		case pod.DeletionTimestamp != nil:
			return 0
		case f.outdated(pod):
			return 1
		}
		return 2
	}
	return slices.MaxFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
}

func (f *Facts) outdated(pod *corev1.Pod) bool {
	return f.Revision != "" && pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey] != f.Revision
}

// Controlled returns those of pods that the DaemonSet controls: others can have the same labels.
func Controlled(ds *appsv1.DaemonSet, pods []corev1.Pod) []*corev1.Pod {
	var own []*corev1.Pod
	for i := range pods {
		if metav1.IsControlledBy(&pods[i], ds) {
			own = append(own, &pods[i])
		}
	}
	return own
}

// CurrentRevision is the controller-revision-hash of the DaemonSet's newest revision, which is that of its template once the
// controller has observed the generation; empty where there is none.
func CurrentRevision(ds *appsv1.DaemonSet, revisions []appsv1.ControllerRevision) string {
	hash, newest := "", int64(-1)
	for i := range revisions {
		if r := &revisions[i]; metav1.IsControlledBy(r, ds) && r.Revision > newest {
			hash, newest = r.Labels[appsv1.DefaultDaemonSetUniqueLabelKey], r.Revision
		}
	}
	return hash
}

// targetOf is the node that a pod is on, or is meant for until it is bound (k8s.io/kubernetes pkg/controller/daemon/util
// GetTargetNodeName).
func targetOf(pod *corev1.Pod) string {
	if pod.Spec.NodeName != "" || pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil ||
		pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return pod.Spec.NodeName
	}
	for _, term := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == metav1.ObjectNameField && field.Operator == corev1.NodeSelectorOpIn && len(field.Values) == 1 {
				return field.Values[0]
			}
		}
	}
	return ""
}
