package e2e_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// outage is what a change of a DaemonSet did to its pods.
type outage struct {
	Deleted int // pods
	AtOnce  int // the most nodes that were without a ready pod at one moment
}

// watchOutage makes a change to a DaemonSet that runs on all nodes and watches its pods until done says so.
func watchOutage(t *testing.T, namespace string, change func(), done func(ready map[string]bool, deleted int) bool) outage {
	t.Helper()
	pods := cp.Client.CoreV1().Pods(namespace)
	list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: "app=agent"})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != len(allNodes) {
		t.Fatalf("there are %d pods, not one on each node", len(list.Items))
	}
	ready := map[string]bool{} // by node
	deleted := map[types.UID]bool{}
	for i := range list.Items {
		ready[list.Items[i].Spec.NodeName] = true
	}
	events, err := pods.Watch(t.Context(), metav1.ListOptions{LabelSelector: "app=agent", ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	change()
	var seen outage
	for event := range events.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			t.Fatalf("the watch ended with %v", event.Object)
		}
		gone := event.Type == watch.Deleted || pod.DeletionTimestamp != nil
		if gone {
			deleted[pod.UID] = true
		}
		if pod.Spec.NodeName != "" {
			ready[pod.Spec.NodeName] = !gone && isReady(pod)
		}
		without := 0
		for _, is := range ready {
			if !is {
				without++
			}
		}
		seen.AtOnce = max(seen.AtOnce, without)
		if done(ready, len(deleted)) {
			break
		}
	}
	seen.Deleted = len(deleted)
	return seen
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// wrongSelector is a slip: the nodes run linux.
func wrongSelector(namespace string) []string {
	return []string{"patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/os":"linus"}}}}}`}
}

// Without berth: this namespace is in the scope of no policy.
func TestWithoutBerthAWrongNodeSelectorDeletesThePodsOfAllNodesAtOnceDespiteMaxUnavailable(t *testing.T) {
	namespace := newNamespace(t, nil)
	create(t, namespace, agent(""))
	expectPods(t, namespace, "agent", allNodes...)
	if got := get(t, namespace, "agent").Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.String(); got != "1" {
		t.Fatalf("maxUnavailable is %s", got)
	}
	rolled := watchOutage(t, namespace, func() { setImage(t, namespace, "agent:2") }, func(ready map[string]bool, deleted int) bool {
		for _, is := range ready {
			if !is {
				return false
			}
		}
		return deleted == len(allNodes)
	})
	if diff := cmp.Diff(outage{Deleted: 6, AtOnce: 1}, rolled); diff != "" {
		t.Errorf("a new image, a rolling update (-want +got):\n%s", diff)
	}
	expectPods(t, namespace, "agent", allNodes...)

	lost := watchOutage(t, namespace, func() { kubectl(t, "", wrongSelector(namespace)...) }, func(ready map[string]bool, deleted int) bool {
		for _, is := range ready {
			if is {
				return false
			}
		}
		return deleted == len(allNodes)
	})
	if diff := cmp.Diff(outage{Deleted: 6, AtOnce: 6}, lost); diff != "" {
		t.Errorf("a wrong nodeSelector (-want +got):\n%s", diff)
	}
	t.Logf("pods of 6 nodes, maxUnavailable 1: a new image %+v; a wrong nodeSelector %+v", rolled, lost)
	expectPods(t, namespace, "agent")
}

var readyToPaste = regexp.MustCompile(`kubectl (annotate daemonset -n \S+ agent --overwrite berth\.dev/acknowledge=[0-9a-f]+)`)

// guarded is a DaemonSet on all nodes under a policy that guards its nodes.
func guarded(t *testing.T) (namespace string) {
	t.Helper()
	namespace = newNamespace(t, nil)
	applyPolicy(t, namespace, "guard", "nodeRequirements: [{key: kubernetes.io/os, operator: Exists}]\nnodeChecks: {validationActions: [Deny]}")
	create(t, namespace, agent(""))
	expectPods(t, namespace, "agent", allNodes...)
	return namespace
}

func TestTheGuardStopsTheMassDeleteUntilThatOneChangeIsAcknowledged(t *testing.T) {
	namespace := guarded(t)
	before := get(t, namespace, "agent")
	stderr := kubectlRejected(t, "", wrongSelector(namespace)...)
	commands := readyToPaste.FindAllStringSubmatch(stderr, -1)
	if len(commands) != 2 || commands[0][0] != commands[1][0] {
		t.Fatalf("no command to paste, or not the same in both causes:\n%s", stderr)
	}
	const acknowledge = "; if that is meant, run this and try again: "
	want := []string{
		`spec.template.spec: Forbidden: matches 0 of 6 nodes: no node has kubernetes.io/os=linus; 6 have kubernetes.io/os=linux; policy "guard" asks for at least 1` + acknowledge + commands[0][0],
		`spec.template.spec: Forbidden: deletes the pods on 6 of 6 nodes at once, whatever maxUnavailable is; policy "guard" allows 10%` + acknowledge + commands[0][0],
	}
	if diff := cmp.Diff(want, causes(stderr)); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	if after := get(t, namespace, "agent"); after.Generation != before.Generation {
		t.Errorf("the DaemonSet is at generation %d, not %d", after.Generation, before.Generation)
	}
	expectPods(t, namespace, "agent", allNodes...)

	kubectl(t, "", strings.Fields(commands[0][1])...)
	another := wrongSelector(namespace)
	another[len(another)-1] = strings.ReplaceAll(another[len(another)-1], "linus", "windows")
	if stderr := kubectlRejected(t, "", another...); !strings.Contains(stderr, "no node has kubernetes.io/os=windows") {
		t.Errorf("another change than the acknowledged: kubectl said\n%s", stderr)
	}
	expectPods(t, namespace, "agent", allNodes...)

	kubectl(t, "", wrongSelector(namespace)...)
	expectPods(t, namespace, "agent")
}

func TestAnAcknowledgementInTheManifestLetsANewDaemonSetThrough(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "guard", "nodeSelector: {e2e-nobody: \"1\"}\nnodeChecks: {validationActions: [Deny]}")
	rejected := createRejected(t, namespace, agent(""))
	digest := regexp.MustCompile(`add the annotation (berth\.dev/acknowledge: [0-9a-f]+) to the DaemonSet$`)
	if len(rejected) != 1 || !digest.MatchString(rejected[0]) {
		t.Fatalf("causes %q, want one with the annotation to add", rejected)
	}
	create(t, namespace, withMetadata(agent(""), "annotations: {"+strings.ReplaceAll(digest.FindStringSubmatch(rejected[0])[1], ": ", `: "`)+`"}`))
	expectPods(t, namespace, "agent")
}

func TestAPolicyMayBeAGuardAndNothingElse(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "guard", "nodeChecks: {validationActions: [Deny]}")
	create(t, namespace, agent(""))
	expectNodeSelector(t, get(t, namespace, "agent"), nil)
	if found := causes(kubectlRejected(t, "", wrongSelector(namespace)...)); len(found) != 2 {
		t.Errorf("causes %q, want too few nodes and too many lost", found)
	}
}

func TestAPolicyThatOnlyWarnsDoesNotSwitchTheGuardOff(t *testing.T) {
	namespace := guarded(t)
	applyPolicy(t, namespace, "warns", "nodeSelector: {kubernetes.io/os: linux}\nvalidationActions: [Warn]")
	for _, change := range [][]string{
		wrongSelector(namespace),
		{"patch", "-n", namespace, "daemonset/agent", "--type=json", "-p",
			`[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"kubernetes.io/os":"windows","e2e-nobody":"1"}}]`},
	} {
		if found := causes(kubectlRejected(t, "", change...)); len(found) != 2 {
			t.Errorf("%q: causes %q, want too few nodes and too many lost", change, found)
		}
	}
	expectPods(t, namespace, "agent", allNodes...)
}

func TestAnAcknowledgementCountsWhereTheAPIServerMakesTheName(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "guard", "nodeSelector: {e2e-nobody: \"1\"}\nnodeChecks: {validationActions: [Deny]}")
	unnamed := strings.Replace(agent(""), "{name: agent}", "{generateName: agent-}", 1)
	rejected := createRejected(t, namespace, unnamed)
	found := regexp.MustCompile(`(berth\.dev/acknowledge): ([0-9a-f]+)`).FindStringSubmatch(strings.Join(rejected, " "))
	if found == nil {
		t.Fatalf("causes %q, want one with the annotation to add", rejected)
	}
	create(t, namespace, strings.Replace(unnamed, "generateName: agent-", `generateName: agent-, annotations: {`+found[1]+`: "`+found[2]+`"}`, 1))
}
