package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// waited is how berth wait ended.
type waited struct {
	Code           int
	Stdout, Stderr string
}

func waitCommand(t *testing.T, args ...string) waited {
	t.Helper()
	stdout, stderr, err := cp.Run(t.Context(), "", berth.Binary, append([]string{"wait"}, args...)...)
	w := waited{exitCode(err), stdout, stderr}
	if w.Code < 0 {
		t.Fatal(err)
	}
	return w
}

// expectWait runs berth wait, which has to end with the code and say all of this.
func expectWait(t *testing.T, code int, said []string, args ...string) {
	t.Helper()
	got := waitCommand(t, append([]string{"--timeout=1m"}, args...)...) // the last --timeout counts
	text := strings.Join(strings.Fields(got.Stdout), " ")               // columns are as wide as what stands in them
	if got.Code != code || !containsAll(text, said) {
		t.Errorf("berth wait %s ended with %d, not %d, and has to say %q:\n%s%s", strings.Join(args, " "), got.Code, code, said, got.Stdout, got.Stderr)
	}
}

func TestWaitDoesNotTakeZeroNodesForASuccess(t *testing.T) {
	namespace := newNamespace(t, nil)
	create(t, namespace, agent("nodeSelector: {e2e-wait: nobody}"))
	kubectl(t, "", "rollout", "status", "-n", namespace, "daemonset/agent", "--timeout=20s") // which does
	expectWait(t, 1, []string{
		"daemonset " + namespace + "/agent failed: it should run on none of 6 nodes",
		"6 Excluded no label e2e-wait=nobody n-1, n-2, n-3 and 3 more",
	}, "ds/agent", "-n", namespace)
	expectWait(t, 0, []string{"daemonset " + namespace + "/agent runs on 0 of 6 nodes"}, "ds/agent", "-n", namespace, "--allow-zero")
}

func TestWaitDemandsAsManyNodesAsItIsToldTo(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-wait", "two", "n-1", "n-2")
	create(t, namespace, agent("nodeSelector: {e2e-wait: two}"))
	runs := []string{"daemonset " + namespace + "/agent runs on 2 of 6 nodes"}
	expectWait(t, 0, runs, "ds", "agent", "-n", namespace)
	expectWait(t, 0, runs, "ds/agent", "-n", namespace, "--min-nodes=2")
	expectWait(t, 0, runs, "ds/agent", "-n", namespace, "--min-nodes=33%")
	partial := []string{"failed: it should run on 2 of 6 nodes, and at least 3 are demanded", "4 Excluded no label e2e-wait=two n-3, n-4, n-5 and 1 more"}
	expectWait(t, 1, partial, "ds/agent", "-n", namespace, "--min-nodes=3")
	expectWait(t, 1, partial, "ds/agent", "-n", namespace, "--min-nodes=50%")
}

func TestWaitSaysAtItsEndWhichNodesLackAPodAndWhy(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-wait", "stuck", "n-1", "n-2")
	create(t, namespace, strings.Replace(agent("nodeSelector: {e2e-wait: stuck}"), `image: "agent:1"`, `image: "agent:1", resources: {requests: {cpu: "5000"}}`, 1))
	began := time.Now()
	expectWait(t, 1, []string{
		"daemonset " + namespace + "/agent is not complete after 2s: no available pod on 2 nodes",
		"2 Unschedulable no room on the node: Insufficient cpu n-1, n-2",
	}, "ds/agent", "-n", namespace, "--timeout=2s")
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}

func runningPods(t *testing.T, namespace string) []corev1.Pod {
	t.Helper()
	list, err := cp.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return !isReady(&pod) })
}

func TestWaitNamesTheImageThatCannotBePulled(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-wait", "image", "n-1", "n-2")
	create(t, namespace, agent("nodeSelector: {e2e-wait: image}"))
	settledPods(t, namespace, "agent")
	// What kubelet reports; KWOK leaves alone what is past Pending.
	const broken = `{"status":{"conditions":[{"type":"Ready","status":"False"}],"containerStatuses":[{"name":"agent","image":"agent:1","imageID":"",
		"restartCount":0,"ready":false,"state":{"running":null,"waiting":{"reason":"ImagePullBackOff","message":"Back-off"}}}]}}`
	for _, pod := range runningPods(t, namespace) {
		if _, err := cp.Client.CoreV1().Pods(namespace).Patch(t.Context(), pod.Name, types.StrategicMergePatchType, []byte(broken), metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	expectWait(t, 1, []string{"2 Missing container agent: image agent:1 cannot be pulled (ImagePullBackOff) n-1, n-2"}, "ds/agent", "-n", namespace, "--timeout=1s")
}

func TestWaitIsNotSatisfiedWithPodsOfTheEarlierTemplate(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-wait", "roll", "n-1", "n-2", "n-3")
	create(t, namespace, agent("nodeSelector: {e2e-wait: roll}"))
	expectWait(t, 0, nil, "ds/agent", "-n", namespace)
	setImage(t, namespace, "agent:2") // the controller replaces one after the other
	expectWait(t, 0, []string{"runs on 3 of 6 nodes"}, "ds/agent", "-n", namespace)
	for _, pod := range runningPods(t, namespace) {
		if image := pod.Spec.Containers[0].Image; image != "agent:2" {
			t.Errorf("it ended when pod %s had image %s", pod.Name, image)
		}
	}
	kubectl(t, "", "patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p", `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`)
	setImage(t, namespace, "agent:3")
	expectWait(t, 1, []string{
		"failed: a pod of an earlier template on 3 nodes: updateStrategy OnDelete replaces a pod only when somebody deletes it",
		"n-1, n-2, n-3",
	}, "ds/agent", "-n", namespace)
	kubectl(t, "", "delete", "pods", "--all", "-n", namespace, "--wait=false")
	expectWait(t, 0, []string{"runs on 3 of 6 nodes"}, "ds/agent", "-n", namespace)
}
