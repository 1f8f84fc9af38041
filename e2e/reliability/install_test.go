package reliability_test

import (
	"context"
	"fmt"
	"os"
	"testing"
)

const berthNamespace = "berth-system"

func shippedManifest(t *testing.T) string {
	t.Helper()
	manifest, err := os.ReadFile("../../deploy/berth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(manifest)
}

func apply(t *testing.T, manifest string, flags ...string) {
	t.Helper()
	args := append([]string{"apply", "-f", "-"}, flags...)
	if _, _, err := cp.Kubectl(context.WithoutCancel(t.Context()), manifest, args...); err != nil {
		t.Fatal(err)
	}
}

// scaleTo runs n replicas until the test ends.
func scaleTo(t *testing.T, n int) {
	t.Helper()
	scale := func(n int) {
		kubectl(t, "-n", berthNamespace, "scale", "deployment/berth", fmt.Sprintf("--replicas=%d", n))
	}
	t.Cleanup(func() { scale(replicas) })
	scale(n)
	eventually(t, fmt.Sprintf("%d replicas", n), func() (bool, string) { return settledAt(n), podNames() })
}

// reinstallAtEnd undoes all that the test does to berth: the next one finds deploy/berth.yaml, a CA of its own, and the
// webhooks in force.
func reinstallAtEnd(t *testing.T) {
	t.Helper()
	namespace := enabledNamespace(t)
	t.Cleanup(func() {
		reinstall(t, shippedManifest(t))
		awaitRollout(t)
		awaitPlacement(t, namespace)
	})
}

// reinstall installs the manifest in place of what there is.
func reinstall(t *testing.T, manifest string) {
	t.Helper()
	uninstall(t)
	installAnew(t, manifest)
}

// installAnew does what helm install does where there is no berth.
func installAnew(t *testing.T, manifest string) {
	t.Helper()
	kubectl(t, "create", "namespace", berthNamespace)
	apply(t, manifest)
}

// uninstall takes berth away, at once, with what it and others keep in the cluster for it.
func uninstall(t *testing.T) {
	t.Helper()
	host.Down()
	kubectl(t, "-n", berthNamespace, "scale", "deployment/berth", "--replicas=0")
	eventually(t, "the end of all pods", func() (bool, string) { return settledAt(0), podNames() })
	host.Up()
	kubectl(t, "delete", "namespace", berthNamespace)
	kubectl(t, "delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "-l", "app.kubernetes.io/name=berth")
}

// awaitPlacement returns when the API server calls berth, which it learns of through informers.
func awaitPlacement(t *testing.T, namespace string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	eventually(t, "a DaemonSet to be placed", func() (bool, string) { return places(ctx, t, namespace) })
}

// whileWriting does something under load, and fails unless every write was placed, then and after, and no replica has ended.
func whileWriting(t *testing.T, namespace string, do func()) {
	t.Helper()
	before := containers()
	load := startLoad(t, namespace)
	do()
	written := load.written()
	eventually(t, "writes after it", func() (bool, string) { return load.written() > written+100, "" })
	counts := load.stop(t)
	counts.expectNothingLost(t)
	expectSameContainers(t, before)
}
