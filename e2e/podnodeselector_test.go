package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/e2e/testbed"
)

// window is for how long doomed pods are counted.
const window = 10 * time.Second

// doom is what happens in the window to pods that are meant for a node without e2e-pool=a.
type doom struct{ Made, Unschedulable, Ran int }

// countDoomed counts, for the window, the pods of the namespace that can never run. Those that are there already count.
func countDoomed(t *testing.T, plane *testbed.ControlPlane, namespace string) doom {
	t.Helper()
	made, unschedulable, ran := map[types.UID]bool{}, map[types.UID]bool{}, map[types.UID]bool{}
	for end := time.Now().Add(window); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		list, err := plane.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, pod := range list.Items {
			if node := meantFor(&pod); node == "n-1" || node == "n-2" {
				continue
			}
			made[pod.UID] = true
			if pod.Status.Phase == corev1.PodRunning {
				ran[pod.UID] = true
			}
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable {
					unschedulable[pod.UID] = true
				}
			}
		}
	}
	return doom{len(made), len(unschedulable), len(ran)}
}

// meantFor is the node for which the DaemonSet controller has made a pod.
func meantFor(pod *corev1.Pod) string {
	terms := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	return terms[0].MatchFields[0].Values[0]
}

// The plugin gives the pods of an annotated namespace a nodeSelector, after the DaemonSet controller has chosen nodes by
// the template (kubernetes#51788). Pods for the other nodes wait for ever, and a rollout, which allows one pod to be
// unavailable, waits for them.
func TestPodNodeSelectorDoomsPodsAndRolloutsAndBerthOnTheSameAnnotationDoesNot(t *testing.T) {
	plane := startPodNodeSelector(t)
	run := func(stdin string, args ...string) {
		t.Helper()
		if _, _, err := plane.Kubectl(t.Context(), stdin, args...); err != nil {
			t.Fatal(err)
		}
	}
	run(agent(""), "create", "-n", "team-a", "-f", "-")
	waitFor(t, "the pods on n-1 and n-2", func() (bool, string) { return runningImages(t, plane, "agent:1", 2) })
	run("", "set", "image", "-n", "team-a", "daemonset/agent", "agent=agent:2")
	torn := strings.ReplaceAll(agent("nodeSelector: {e2e-pool: b}"), "agent", "torn")
	run(torn, "create", "-n", "team-b", "-f", "-")
	without := countDoomed(t, plane, "team-a")
	if without.Made == 0 || without.Unschedulable != without.Made || without.Ran > 0 {
		t.Errorf("without berth: %+v of the nodes that the plugin forbids", without)
	}
	refused := refusedPods(t, plane)
	if refused < 2 {
		t.Errorf("without berth, the pods of a DaemonSet that says otherwise than the annotation were refused %d times", refused)
	}
	if stuck, seen := runningImages(t, plane, "agent:1", 2); !stuck {
		t.Errorf("without berth, the rollout went on: %s", seen)
	}

	if _, err := plane.StartBerth(t.Context(), testbed.BerthOptions{Binary: filepath.Join(cp.Dir(), "berth")}); err != nil {
		t.Fatal(err)
	}
	run(readFile(t, shippedPolicies+"podnodeselector.yaml"), "apply", "-f", "-")
	// The DaemonSet that says otherwise is refused itself, and its author hears of it.
	waitFor(t, "the policy to be in force", func() (bool, string) {
		_, stderr, err := plane.Kubectl(t.Context(), torn, "create", "-n", "team-a", "--dry-run=server", "-f", "-")
		return err != nil && strings.Contains(stderr, `policy "podnodeselector" requires "a"`), stderr
	})
	run("", "set", "image", "-n", "team-a", "daemonset/agent", "agent=agent:3")
	run("", "rollout", "status", "-n", "team-a", "daemonset/agent", "--timeout=60s")
	waitFor(t, "the pods on n-1 and n-2 alone", func() (bool, string) { return runningImages(t, plane, "agent:3", 2) })
	with := countDoomed(t, plane, "team-a")
	if with != (doom{}) {
		t.Errorf("with berth: %+v of the nodes that the plugin forbids", with)
	}
	t.Logf("pods for the 4 nodes that PodNodeSelector forbids, in %s: without berth %+v, with berth %+v", window, without, with)
	t.Logf("pods of a DaemonSet that says otherwise, refused in a loop: %d in %s without berth", refused, window)
}

// refusedPods counts how often the API server refused the controller a pod of team-b.
func refusedPods(t *testing.T, plane *testbed.ControlPlane) (times int) {
	t.Helper()
	list, err := plane.Client.CoreV1().Events("team-b").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range list.Items {
		if strings.Contains(event.Message, "pod node label selector conflicts with its namespace node label selector") {
			times += max(1, int(event.Count))
		}
	}
	return times
}

// startPodNodeSelector starts a control plane with the plugin, two of six nodes with e2e-pool=a, one with e2e-pool=b, and
// two namespaces whose annotations ask for the first.
func startPodNodeSelector(t *testing.T) *testbed.ControlPlane {
	t.Helper()
	plane, err := testbed.Start(t.Context(), testbed.Options{APIServerFlags: []string{"--enable-admission-plugins=PodNodeSelector"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := plane.CreateNodes(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"label", "nodes", "n-1", "n-2", "e2e-pool=a"},
		{"label", "nodes", "n-3", "e2e-pool=b"},
		{"create", "namespace", "team-a"},
		{"create", "namespace", "team-b"},
		{"annotate", "namespace", "team-a", "team-b", podNodeSelectorKey + "=e2e-pool=a"},
	} {
		if _, _, err := plane.Kubectl(t.Context(), "", args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, namespace := range []string{"team-a", "team-b"} {
		waitFor(t, "the namespace's ServiceAccount", func() (bool, string) {
			_, err := plane.Client.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{})
			return err == nil, fmt.Sprint(err)
		})
	}
	return plane
}

// runningImages says whether exactly n pods run, all of them with this image.
func runningImages(t *testing.T, plane *testbed.ControlPlane, image string, n int) (yes bool, seen string) {
	t.Helper()
	list, err := plane.Client.CoreV1().Pods("team-a").List(t.Context(), metav1.ListOptions{FieldSelector: "status.phase=Running"})
	if err != nil {
		t.Fatal(err)
	}
	yes = len(list.Items) == n
	for _, pod := range list.Items {
		yes = yes && pod.Spec.Containers[0].Image == image
		seen += " " + pod.Spec.NodeName + " runs " + pod.Spec.Containers[0].Image
	}
	return yes, seen
}
