package e2e_test

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"

	"berth.dev/berth/coverage"
)

// What diff says that a node's pod requests is what the pod has, with all that the API server has added.
func TestDiffCountsWhatLimitRangesAndRuntimeClassesAdd(t *testing.T) {
	namespace := newNamespace(t, nil)
	kubectl(t, `
apiVersion: v1
kind: LimitRange
metadata: {name: defaults}
spec: {limits: [{type: Container, default: {cpu: 400m, memory: 64Mi}, defaultRequest: {cpu: 150m}}, {type: Pod, max: {cpu: "9"}}]}
`, "create", "-n", namespace, "-f", "-")
	kubectl(t, "---\n{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: e2e-diff}, handler: e2e, overhead: {podFixed: {cpu: 30m, memory: 8Mi}}}", "create", "-f", "-")
	t.Cleanup(func() { _, _, _ = cp.Kubectl(bare(), "", "delete", "runtimeclass", "e2e-diff") })
	kubectl(t, `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: requesting}
spec:
  selector: {matchLabels: {app: requesting}}
  template:
    metadata: {labels: {app: requesting}}
    spec:
      runtimeClassName: e2e-diff
      initContainers:
      - {name: sidecar, image: a, restartPolicy: Always}
      containers:
      - {name: nothing, image: a}
      - {name: limit, image: a, resources: {limits: {cpu: 70m}}}
      - {name: request, image: a, resources: {requests: {cpu: 10m, memory: 1Mi}}}
`, "create", "-n", namespace, "-f", "-")
	var pods *corev1.PodList
	waitFor(t, "a pod on n-1", func() (bool, string) {
		var err error
		pods, err = cp.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=n-1"})
		return err == nil && len(pods.Items) == 1, ""
	})
	requested := resourcehelper.PodRequests(&pods.Items[0], resourcehelper.PodResourcesOptions{})
	if requested.Cpu().IsZero() || requested.Memory().IsZero() || pods.Items[0].Spec.Overhead == nil {
		t.Fatalf("the pod requests %v", requested)
	}
	stdout, _, err := cp.Run(t.Context(), "", berth.Binary, "diff", "-o", "json", "--kubeconfig", readerKubeconfig(t), "--remove=n-1")
	if exitCode(err) != 1 {
		t.Fatal(err)
	}
	var said struct {
		Moves []struct {
			Namespace string
			Requests  []coverage.PoolRequests
		}
	}
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		t.Fatal(err)
	}
	var cpu, memory resource.Quantity
	for _, move := range said.Moves {
		for _, pool := range move.Requests {
			if move.Namespace == namespace {
				cpu.Sub(pool.CPU)
				memory.Sub(pool.Memory)
			}
		}
	}
	if cpu.Cmp(*requested.Cpu()) != 0 || memory.Cmp(*requested.Memory()) != 0 {
		t.Errorf("diff counts %v and %v, the pod requests %v and %v", &cpu, &memory, requested.Cpu(), requested.Memory())
	}
}
