package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/e2e/testbed"
)

const (
	placementLabel     = "berth.dev/placement"
	injectedAnnotation = "berth.dev/injected"
	eventually         = time.Minute // no promise: a loaded machine is slow, not broken
)

var allNodes = []string{"n-1", "n-2", "n-3", "n-4", "n-5", "n-6"}

// enabled is what opens a namespace to the default policy.
var enabled = map[string]string{placementLabel: "enabled"}

// startControlPlane starts a control plane that is the test's own.
func startControlPlane(t *testing.T, apiServerFlags ...string) *testbed.ControlPlane {
	t.Helper()
	own, err := testbed.Start(t.Context(), testbed.Options{APIServerFlags: apiServerFlags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the logs are kept in", own.Dir())
			_ = own.StopProcesses()
		} else if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	return own
}

// exitCode is that with which a program has ended, by the error of ControlPlane.Run; below zero it has not run.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// newNamespace makes a namespace in which pods can run at once.
func newNamespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	prefix := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	prefix = strings.Trim(strings.TrimPrefix(prefix, "test")[:min(len(prefix)-4, 40)], "-")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-", Labels: labels}}
	created, err := cp.Client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the namespace's ServiceAccount", func() (bool, string) {
		_, err := cp.Client.CoreV1().ServiceAccounts(created.Name).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
	return created.Name
}

// labelNodes labels the nodes until the test ends.
func labelNodes(t *testing.T, key, value string, nodes ...string) {
	t.Helper()
	for _, node := range nodes {
		setNodeLabel(t.Context(), t, node, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, key, value))
	}
	t.Cleanup(func() { unlabelNodes(t, key, nodes...) })
}

func unlabelNodes(t *testing.T, key string, nodes ...string) {
	t.Helper()
	for _, node := range nodes {
		// The test's own context is over when it cleans up.
		setNodeLabel(context.Background(), t, node, fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, key))
	}
}

func setNodeLabel(ctx context.Context, t *testing.T, node, patch string) {
	t.Helper()
	if _, err := cp.Client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs a command that has to succeed.
func kubectl(t *testing.T, stdin string, args ...string) (stdout string) {
	t.Helper()
	stdout, _, err := cp.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return stdout
}

// kubectlRejected runs a command that has to fail, and returns what it printed.
func kubectlRejected(t *testing.T, stdin string, args ...string) (stderr string) {
	t.Helper()
	stdout, stderr, err := cp.Kubectl(t.Context(), stdin, args...)
	if err == nil {
		t.Fatalf("kubectl %s was not rejected: %s", strings.Join(args, " "), stdout)
	}
	return stderr
}

func get(t *testing.T, namespace, name string) *appsv1.DaemonSet {
	t.Helper()
	ds, err := cp.Client.AppsV1().DaemonSets(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// expectPods waits until the DaemonSet has settled and fails unless its pods are on exactly these nodes.
func expectPods(t *testing.T, namespace, name string, want ...string) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%s/%s on %v", namespace, name, want), func() (bool, string) {
		ds := get(t, namespace, name)
		pods, err := cp.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{
			LabelSelector: metav1.FormatLabelSelector(ds.Spec.Selector),
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, pod := range pods.Items {
			if pod.Status.Phase == corev1.PodRunning {
				got = append(got, pod.Spec.NodeName)
			}
		}
		slices.Sort(got)
		settled := ds.Status.ObservedGeneration == ds.Generation && len(pods.Items) == len(got) &&
			int(ds.Status.DesiredNumberScheduled) == len(got) && int(ds.Status.NumberReady) == len(got)
		return settled && slices.Equal(got, want), fmt.Sprintf("running on %v, %d pods, status %+v", got, len(pods.Items), ds.Status)
	})
}

func expectNodeSelector(t *testing.T, ds *appsv1.DaemonSet, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, ds.Spec.Template.Spec.NodeSelector); diff != "" {
		t.Errorf("nodeSelector of %s/%s (-want +got):\n%s", ds.Namespace, ds.Name, diff)
	}
}

// waitFor asks until the answer is yes, and otherwise fails with the last thing that was seen.
func waitFor(t *testing.T, what string, ask func() (yes bool, seen string)) {
	t.Helper()
	seen := ""
	for deadline := time.Now().Add(eventually); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var yes bool
		if yes, seen = ask(); yes {
			return
		}
	}
	t.Fatalf("waited %s for %s; last seen: %s", eventually, what, seen)
}

// tutorial is the DaemonSet of the tutorial.
func tutorial(t *testing.T) string {
	t.Helper()
	return readFile(t, "testdata/tutorial.yaml")
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parse reads a manifest.
func parse(t *testing.T, manifest string) *appsv1.DaemonSet {
	t.Helper()
	ds := &appsv1.DaemonSet{}
	if err := yaml.UnmarshalStrict([]byte(manifest), ds); err != nil {
		t.Fatal(err)
	}
	return ds
}

// forLabel is the tutorial's DaemonSet with another label in all places.
func forLabel(t *testing.T, value string) string {
	t.Helper()
	return strings.ReplaceAll(tutorial(t), "app: example", "app: "+value)
}
