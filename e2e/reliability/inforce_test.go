package reliability_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scale runs other than the usual number of replicas until the test ends.
func scale(t *testing.T, n int) {
	t.Helper()
	to := func(n int) {
		kubectl(t, "-n", berthNamespace, "scale", "deployment/berth", fmt.Sprint("--replicas=", n))
		eventually(t, "the replicas", func() (bool, string) { return settledAt(n) && len(endpoints()) == n, podNames() })
	}
	t.Cleanup(func() { to(replicas) })
	to(n)
}

// inForce makes a policy for the namespace and returns when it is Ready.
func inForce(t *testing.T, namespace, pool string) {
	t.Helper()
	name := namespace + "-" + pool
	t.Cleanup(func() { kubectl(t, "delete", "--ignore-not-found", "placementpolicy/"+name) })
	apply(t, fmt.Sprintf(`
apiVersion: berth.dev/v1alpha1
kind: PlacementPolicy
metadata: {name: %s}
spec:
  matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}}
  nodeSelector: {%s: "yes"}
`, name, namespace, pool))
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "placementpolicy/"+name)
}

// createAtOnce creates DaemonSets, all at the same time, and returns how many of them have the label of the pool.
func createAtOnce(t *testing.T, n int, namespace, pool string) (placed int) {
	t.Helper()
	var group sync.WaitGroup
	results := make(chan bool, n)
	for i := range n {
		group.Go(func() {
			ds := daemonSet(t)
			ds.Name = fmt.Sprintf("%s-%d", pool, i)
			stored, err := cp.Client.AppsV1().DaemonSets(namespace).Create(t.Context(), ds, metav1.CreateOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			results <- stored.Spec.Template.Spec.NodeSelector[pool] == "yes"
		})
	}
	group.Wait()
	close(results)
	for has := range results {
		if has {
			placed++
		}
	}
	return placed
}

func TestWhatIsCreatedAfterAPolicyIsReadyHasItWhicheverReplicaDecides(t *testing.T) {
	cluster(t)
	scale(t, 3)
	namespace := enabledNamespace(t)
	for round := range full(3, 20) {
		pool := fmt.Sprint("pool-", round)
		inForce(t, namespace, pool)
		if placed := createAtOnce(t, 30, namespace, pool); placed != 30 {
			t.Errorf("%d of 30 DaemonSets that were created after Ready have the policy's label", placed)
		}
	}
}

func TestAReplicaThatIsKilledHoldsReadyUpNoLongerThanItsLease(t *testing.T) {
	cluster(t)
	scale(t, 3)
	namespace := enabledNamespace(t)
	const lease = 15 * time.Second
	if err := host.Pods()[0].Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	inForce(t, namespace, "after-kill")
	// kubectl, and a leader that has to be elected anew, take their time.
	if took := time.Since(began); took > 3*lease {
		t.Errorf("Ready came %s after a replica was killed", took)
	}
}
