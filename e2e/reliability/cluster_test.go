package reliability_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/e2e/testbed"
)

// waitLimit is no promise: a loaded machine is slow, not broken.
const waitLimit = 2 * time.Minute

// replicas is how many berths deploy/berth.yaml asks for.
const replicas = 2

// full chooses between what CI does and what make soak does: how often, or how long.
func full[T any](inCI, inSoak T) T {
	if os.Getenv("BERTH_SOAK") != "" {
		return inSoak
	}
	return inCI
}

// cluster skips a test where there is no cluster, and otherwise begins it with all replicas ready.
func cluster(t *testing.T) {
	t.Helper()
	if noCluster != nil {
		t.Skip(noCluster)
	}
	if followersLost {
		awaitFollowers(t)
	}
	eventually(t, "all replicas", func() (bool, string) { return inStep(), podNames() })
}

// endpoints are where the Service sends requests, IP:PORT.
func endpoints() []string { return host.Endpoints("berth-system", "berth", "webhook") }

// settled says whether the replicas are ready and nothing else is there.
func settled() bool { return settledAt(replicas) }

func settledAt(n int) bool {
	pods := host.Pods()
	for _, pod := range pods {
		if !pod.Ready() || pod.Terminating() {
			return false
		}
	}
	return len(pods) == n
}

// inStep says whether all replicas are ready and the Service knows.
func inStep() bool {
	var pods []string
	for _, pod := range host.Pods() {
		pods = append(pods, pod.Address("webhook"))
	}
	slices.Sort(pods)
	return settled() && slices.Equal(pods, endpoints())
}

func podNames() string {
	var names []string
	for _, pod := range host.Pods() {
		names = append(names, pod.Name)
	}
	return strings.Join(names, " ")
}

// routeBy restarts the API server with flags, until the test ends.
func routeBy(t *testing.T, flags []string) {
	t.Helper()
	if flags == nil {
		return
	}
	restartAPIServer(t, flags...)
	awaitFollowers(t)
	t.Cleanup(func() { restartAPIServer(t) })
}

// followersLost is set when the API server was away: its clients have lost it and back off for some seconds each.
var followersLost bool

func restartAPIServer(t *testing.T, flags ...string) {
	t.Helper()
	followersLost = true
	if err := cp.RestartAPIServer(context.WithoutCancel(t.Context()), flags...); err != nil {
		t.Fatal(err)
	}
}

// awaitFollowers replaces all pods, and returns when everybody has heard of it. Until the last client is back a rollout
// may leave the Service without endpoints. The controllers are started again, which is quicker than to wait for them.
func awaitFollowers(t *testing.T) {
	t.Helper()
	for _, p := range []*testbed.Process{cp.ControllerManager, cp.Scheduler} {
		if err := errors.Join(p.Kill(), p.Start(t.Context()), p.WaitReady(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	kubectl(t, "-n", "berth-system", "rollout", "restart", "deployment/berth")
	awaitRollout(t)
	eventually(t, "the endpoints to be the pods", func() (bool, string) { return inStep(), podNames() })
	followersLost = false
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	// Also for what a test does when its own context is over.
	stdout, _, err := cp.Kubectl(context.WithoutCancel(t.Context()), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return stdout
}

func awaitRollout(t *testing.T) {
	t.Helper()
	kubectl(t, "-n", "berth-system", "rollout", "status", "deployment/berth", "--timeout=120s")
}

// eventually asks until the answer is yes, and otherwise fails with the last thing that was seen.
func eventually(t *testing.T, what string, ask func() (yes bool, seen string)) {
	t.Helper()
	seen := ""
	for deadline := time.Now().Add(waitLimit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var yes bool
		if yes, seen = ask(); yes {
			return
		}
	}
	t.Fatalf("waited %s for %s; last seen: %s", waitLimit, what, seen)
}

// container is one that runs.
type container struct {
	Pod           string
	Pid, Restarts int
}

func containers() []container {
	var all []container
	for _, pod := range host.Pods() {
		all = append(all, container{pod.Name, pod.Pid(), pod.Restarts()})
	}
	return all
}

// expectSameContainers fails when a container has ended meanwhile.
func expectSameContainers(t *testing.T, before []container) {
	t.Helper()
	if diff := cmp.Diff(before, containers()); diff != "" {
		t.Errorf("a replica has ended (-before +after):\n%s", diff)
	}
}

// expectNothingLost writes for a while and fails unless every write was placed.
func expectNothingLost(t *testing.T, namespace string, length time.Duration) {
	t.Helper()
	load := startLoad(t, namespace)
	time.Sleep(length)
	counts := load.stop(t)
	counts.expectNothingLost(t)
}
