package reliability_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"berth.dev/berth/e2e/testbed"
)

// Everybody who can reach the port sends what they like, from many addresses: connections that say nothing, handshakes, headers
// and bodies that do not end, and the worst reviews there are.
func TestBerthIn256MiBSurvivesWhateverReachesItsPort(t *testing.T) {
	const limit = 256 << 20
	cluster(t)
	alone(t)
	attacked := attackedNamespace(t)
	namespace := enabledNamespace(t)
	expectNothingLost(t, namespace, time.Second)
	pod, before := host.Pods()[0], containers()
	expectMemoryLimit(t, pod, limit)

	beNice(t)
	attack, load := startAttack(t, pod, attacked), startLoad(t, namespace)
	attack.last(t, full(40*time.Second, 10*time.Minute), func() { expectManyAtOnce(t, namespace) })
	counts := load.stop(t)
	attack.stop(t)
	counts.expectNothingLost(t)
	expectSameContainers(t, before)
	expectSurvival(t, pod, limit)
	expectNothingLost(t, namespace, 2*time.Second)
}

// alone leaves one replica, which all that is sent reaches, until the test ends.
func alone(t *testing.T) {
	t.Helper()
	scale := func(n int) {
		kubectl(t, "-n", "berth-system", "scale", "deployment/berth", fmt.Sprintf("--replicas=%d", n))
		eventually(t, "the replicas to be as many", func() (bool, string) { return settledAt(n) && len(endpoints()) == n, podNames() })
	}
	scale(1)
	t.Cleanup(func() { scale(replicas) })
}

// expectMemoryLimit fails unless the replica is in a memory cgroup with this limit, and knows it. Where the machine has no
// memory cgroups for this user, what counts is what the replica has resident.
func expectMemoryLimit(t *testing.T, pod *testbed.Pod, limit int) {
	t.Helper()
	shown, err := os.ReadFile(filepath.Join(fmt.Sprintf("/proc/%d/root", pod.Pid()), "sys/fs/cgroup/memory.max"))
	if want := fmt.Sprintln(limit); err != nil || string(shown) != want {
		t.Fatalf("the replica is shown a limit of %q, not %q: %v", shown, want, err)
	}
	group, err := pod.Memory()
	if err != nil {
		t.Logf("no memory cgroup, so the most that is resident is held against the limit: %v", err)
		return
	}
	if has, err := group.Has(pod.Pid()); err != nil || !has {
		t.Fatalf("the replica is in its memory cgroup: %v, %v", has, err)
	}
}

// expectSurvival fails when the kernel has killed for memory, or where there is no cgroup, would have.
func expectSurvival(t *testing.T, pod *testbed.Pod, limit int) {
	t.Helper()
	resident := peakResident(t, pod)
	t.Logf("%s: at most %d MiB resident", pod.Name, resident>>20)
	if resident > limit {
		t.Errorf("%s had %d MiB resident, more than %d", pod.Name, resident>>20, limit>>20)
	}
	group, err := pod.Memory()
	if err != nil {
		return
	}
	kills, err := group.Kills()
	if err != nil {
		t.Fatal(err)
	}
	peak, err := group.Peak()
	t.Logf("%s: at most %d MiB in its cgroup, %d kills; %v", pod.Name, peak>>20, kills, err)
	if kills > 0 {
		t.Errorf("the kernel has killed %s %d times for memory", pod.Name, kills)
	}
}

// expectManyAtOnce fails unless writes succeed that come all at once: the API server needs new connections for them.
func expectManyAtOnce(t *testing.T, namespace string) {
	t.Helper()
	var group sync.WaitGroup
	for i := range 20 {
		ds := daemonSet(t)
		ds.Name = fmt.Sprintf("at-once-%d", i)
		group.Go(func() {
			stored, err := cp.Client.AppsV1().DaemonSets(namespace).Create(t.Context(), ds, dryRun)
			if err != nil || !placed(stored) {
				t.Errorf("one of many writes at once: %v", err)
			}
		})
	}
	group.Wait()
}
