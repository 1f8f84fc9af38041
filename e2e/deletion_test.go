package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// held has a finalizer, so that it is there until somebody takes that off.
func held(manifest string) string {
	return withMetadata(manifest, "finalizers: [example.com/hold]")
}

// deleteHeld deletes a DaemonSet that is there already, which the finalizer keeps until the test ends.
func deleteHeld(t *testing.T, namespace, name string) {
	t.Helper()
	patch := []string{"patch", "-n", namespace, "daemonset", name, "--type=merge", "-p"}
	kubectl(t, "", append(patch, `{"metadata":{"finalizers":["example.com/hold"]}}`)...)
	kubectl(t, "", "delete", "-n", namespace, "daemonset", name, "--wait=false")
	t.Cleanup(func() {
		if _, _, err := cp.Kubectl(bare(), "", append(patch, `{"metadata":{"finalizers":null}}`)...); err != nil {
			t.Error(err)
		}
	})
}

// letGo takes the finalizer off, and waits until the DaemonSet is gone.
func letGo(t *testing.T, namespace string) {
	t.Helper()
	kubectl(t, "", "patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	kubectl(t, "", "wait", "-n", namespace, "--for=delete", "--timeout=60s", "daemonset/agent")
}

func TestADaemonSetThatIsBeingDeletedIsLetGo(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "pool", anyNodes+poolA)
	create(t, namespace, held(agent("")))
	if diff := cmp.Diff([]string{pinnedTo("x")}, causes(kubectlRejected(t, "", patchPool(namespace, "x")...))); diff != "" {
		t.Errorf("before the deletion, causes (-want +got):\n%s", diff)
	}
	kubectl(t, "", "delete", "-n", namespace, "daemonset/agent", "--wait=false")
	if get(t, namespace, "agent").DeletionTimestamp == nil {
		t.Fatal("it is not being deleted")
	}
	kubectl(t, "", patchPool(namespace, "x")...)
	letGo(t, namespace)
}

func TestADaemonSetThatIsBeingDeletedIsLetGoWhateverIsInIt(t *testing.T) {
	namespace := newNamespace(t, nil)
	var labels strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&labels, "k%d: v, ", i)
	}
	create(t, namespace, withMetadata(agent(""), "finalizers: [example.com/hold], labels: {"+labels.String()+"}"))
	applyPolicy(t, namespace, "pool", anyNodes+poolA)
	kubectlRejected(t, "", "label", "-n", namespace, "daemonset/agent", "more=labels")
	kubectl(t, "", "delete", "-n", namespace, "daemonset/agent", "--wait=false")
	letGo(t, namespace)
}

func TestADaemonSetThatIsBeingDeletedIsNotAskedOfAStoppedBerth(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-pool", "a", "n-1")
	applyPolicy(t, namespace, "pool", anyNodes+poolA)
	create(t, namespace, agent(""))
	expectPods(t, namespace, "agent", "n-1")
	stopBerth(t)
	if stderr := kubectlRejected(t, "", "label", "-n", namespace, "daemonset/agent", "a=b"); !strings.Contains(stderr, "failed calling webhook") {
		t.Fatalf("berth was asked all the same: %s", stderr)
	}
	kubectl(t, "", "delete", "-n", namespace, "daemonset/agent", "--cascade=foreground", "--timeout=60s")
}

// stopBerth stops it until the test ends.
func stopBerth(t *testing.T) {
	t.Helper()
	if err := berth.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := berth.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := berth.WaitReady(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
