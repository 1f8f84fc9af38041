package e2e_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const tutorialName = "example-daemonset"

func TestTutorialDaemonSetRunsOnTheLabelledNodesAndFollowsTheLabel(t *testing.T) {
	namespace := newNamespace(t, enabled)
	labelNodes(t, "app", "example", "n-1", "n-4")

	kubectl(t, tutorial(t), "apply", "-n", namespace, "-f", "-")
	expectNodeSelector(t, get(t, namespace, tutorialName), map[string]string{"app": "example"})
	expectPods(t, namespace, tutorialName, "n-1", "n-4")

	kubectl(t, "", "label", "nodes", "n-6", "app=example")
	t.Cleanup(func() { unlabelNodes(t, "app", "n-6") })
	expectPods(t, namespace, tutorialName, "n-1", "n-4", "n-6")

	kubectl(t, "", "label", "nodes", "n-4", "app-")
	expectPods(t, namespace, tutorialName, "n-1", "n-6")
}

func TestDaemonSetInANamespaceWithoutTheLabelRunsOnAllNodes(t *testing.T) {
	namespace := newNamespace(t, nil)
	kubectl(t, forLabel(t, "everywhere"), "apply", "-n", namespace, "-f", "-")
	ds := get(t, namespace, tutorialName)
	expectNodeSelector(t, ds, nil)
	if value, ok := ds.Annotations[injectedAnnotation]; ok {
		t.Errorf("berth wrote %s: %s", injectedAnnotation, value)
	}
	expectPods(t, namespace, tutorialName, allNodes...)
}

func TestKubeSystemIsUntouchedEvenWithTheNamespaceLabel(t *testing.T) {
	kubectl(t, "", "label", "namespace", metav1.NamespaceSystem, placementLabel+"=enabled")
	t.Cleanup(func() {
		if _, _, err := cp.Kubectl(bare(), "", "label", "namespace", metav1.NamespaceSystem, placementLabel+"-"); err != nil {
			t.Error(err)
		}
	})
	kubectl(t, forLabel(t, "system"), "apply", "-n", metav1.NamespaceSystem, "-f", "-")
	expectNodeSelector(t, get(t, metav1.NamespaceSystem, tutorialName), nil)
	expectPods(t, metav1.NamespaceSystem, tutorialName, allNodes...)
}

func TestDaemonSetOfASystemPriorityClassIsUntouchedInAnyNamespace(t *testing.T) {
	namespace := newNamespace(t, enabled)
	for _, class := range []string{"system-node-critical", "system-cluster-critical"} {
		t.Run(class, func(t *testing.T) {
			manifest := withPriorityClass(t, class)
			kubectl(t, manifest, "apply", "-n", namespace, "-f", "-")
			expectNodeSelector(t, get(t, namespace, class), nil)
			expectPods(t, namespace, class, allNodes...)
		})
	}
}

// withPriorityClass is the tutorial's DaemonSet as a CNI or CSI plugin would have it, named after its class.
func withPriorityClass(t *testing.T, class string) string {
	t.Helper()
	manifest := strings.Replace(forLabel(t, class), "      containers:", "      priorityClassName: "+class+"\n      containers:", 1)
	return strings.Replace(manifest, tutorialName, class, 1)
}

func TestLabelThatNoNodeHasIsAWarningAndNoRejection(t *testing.T) {
	namespace := newNamespace(t, enabled)
	stdout, stderr, err := cp.Kubectl(t.Context(), "", "apply", "-n", namespace, "-f", "e2e/testdata/elsewhere.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := "daemonset.apps/gpu-agent created\n"; stdout != want {
		t.Errorf("kubectl said %q, not %q", stdout, want)
	}
	if want := "Warning: matches 0 of 6 nodes: label one with kubectl label nodes NODE hardware=gpu\n"; stderr != want {
		t.Errorf("kubectl warned %q, not %q", stderr, want)
	}
	expectPods(t, namespace, "gpu-agent")
}

func TestSelectorExpressionsPlaceTooAndNarrowWhatTheManifestSays(t *testing.T) {
	namespace := newNamespace(t, enabled)
	labelNodes(t, "rack", "a", "n-1", "n-2")
	labelNodes(t, "rack", "b", "n-3")
	labelNodes(t, "rack", "c", "n-4")
	labelNodes(t, "disk", "ssd", "n-2", "n-3", "n-4")
	const manifest = `
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: by-rack
spec:
  selector:
    matchExpressions:
      - {key: rack, operator: In, values: [b, a]}
  template:
    metadata:
      labels: {rack: a}
    spec:
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions: [{key: disk, operator: In, values: [ssd]}]
              - matchFields: [{key: metadata.name, operator: In, values: [n-6]}]
      containers: [{name: c, image: example-image}]
`
	// Of the racks a and b those with an SSD. n-6 is in no rack, though the manifest names it.
	kubectl(t, manifest, "apply", "-n", namespace, "-f", "-")
	expectPods(t, namespace, "by-rack", "n-2", "n-3")
}
