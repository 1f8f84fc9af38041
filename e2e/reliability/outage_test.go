package reliability_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/e2e/testbed"
)

func TestWithEveryReplicaDeadOnlyWritesInScopeAreDenied(t *testing.T) {
	cluster(t)
	namespace := enabledNamespace(t)
	expectNothingLost(t, namespace, time.Second)
	host.Down()
	defer host.Up()
	eventually(t, "the end of the endpoints", func() (bool, string) { return len(endpoints()) == 0, strings.Join(endpoints(), " ") })

	for i := range 100 {
		ds := daemonSet(t)
		ds.Name = fmt.Sprintf("denied-%d", i)
		if _, err := cp.Client.AppsV1().DaemonSets(namespace).Create(t.Context(), ds, metav1.CreateOptions{}); err == nil {
			t.Fatal("a DaemonSet in scope was stored with berth dead")
		} else if !strings.Contains(err.Error(), "failed calling webhook") {
			t.Fatal(err)
		}
	}
	kinds := outOfScope(t, enabledNamespace(t))
	for _, unseen := range kinds {
		for i := range 1000 / len(kinds) {
			if err := unseen.write(i); err != nil {
				t.Fatalf("%s: %v", unseen.kind, err)
			}
		}
	}

	// As an admin might who wants it all anew, the CA included.
	kubectl(t, "delete", "namespace", "berth-system")
	host.Up()
	kubectl(t, "apply", "-f", "deploy/berth.yaml")
	awaitRollout(t)
	eventually(t, "the Service to know them", func() (bool, string) { return inStep(), podNames() })
	expectNothingLost(t, namespace, time.Second)
}

func TestRestartsOfTheAPIServerAndEtcdLoseNoPlacement(t *testing.T) {
	cluster(t)
	namespace := enabledNamespace(t)
	before := containers()
	load := startLoad(t, namespace)
	restart := func(process *testbed.Process) {
		followersLost = true
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := process.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*testbed.Process{cp.Etcd, cp.APIServer} {
			if err := p.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		written := load.written()
		eventually(t, "writes", func() (bool, string) { return load.written() > written+100, "" })
	}
	for range full(2, 10) {
		restart(cp.APIServer)
	}
	for range full(1, 5) {
		restart(cp.Etcd)
	}
	counts := load.stop(t)
	counts.expectNothingUnmutated(t)
	expectSameContainers(t, before)
	expectNothingLost(t, namespace, 2*time.Second)
}

func TestWithoutTheAPIServerBerthDecidesFromMemory(t *testing.T) {
	cluster(t)
	namespace := enabledNamespace(t)
	expectNothingLost(t, namespace, time.Second) // which also makes the namespace known
	before := containers()
	t.Run("out of reach of berth", func(t *testing.T) {
		host.CutAPI()
		defer host.RestoreAPI()
		expectNothingLost(t, namespace, full(20*time.Second, 10*time.Minute))
	})
	t.Run("down", func(t *testing.T) {
		if err := cp.APIServer.Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(full(10*time.Second, 10*time.Minute))
		restartAPIServer(t)
		expectNothingLost(t, namespace, 2*time.Second)
		expectSameContainers(t, before)
	})
}

func TestAnInternalErrorIsLeftToTheFailurePolicy(t *testing.T) {
	cluster(t)
	// A namespace that berth has not heard of, and cannot ask for.
	host.CutAPI()
	defer host.RestoreAPI()
	namespace := enabledNamespace(t)
	const writes = 100
	for policy, want := range map[string]int32{"Ignore": writes, "Fail": 0} {
		t.Run(policy, func(t *testing.T) {
			t.Cleanup(func() { setFailurePolicy(t, "Fail") })
			setFailurePolicy(t, policy)
			var admitted, failed atomic.Int32
			var group sync.WaitGroup
			for range writes { // at once, for berth asks for the namespace until the API server is about to lose patience
				group.Go(func() {
					_, err := cp.Client.AppsV1().DaemonSets(namespace).Create(t.Context(), daemonSet(t), dryRun)
					switch {
					case err == nil:
						admitted.Add(1)
					case apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook"):
						failed.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			group.Wait()
			if admitted.Load() != want {
				t.Errorf("%d writes were admitted and %d failed, where %d of %d were to be admitted", admitted.Load(), failed.Load(), want, writes)
			}
		})
	}
}

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

// setFailurePolicy sets that of both configurations and waits until the API server acts by it.
func setFailurePolicy(t *testing.T, policy string) {
	t.Helper()
	for _, kind := range []string{"mutating", "validating"} {
		kubectl(t, "patch", kind+"webhookconfiguration", "berth", "--type=json",
			"--patch", fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/failurePolicy","value":%q}]`, policy))
	}
	time.Sleep(time.Second) // The API server follows through informers, and there is nothing to see it by.
}
