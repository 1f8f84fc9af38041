package audit_test

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/e2e/apiserver"
)

// newLease is that of a replica that has said nothing yet of its policies.
func newLease(name string, seconds int32) *coordinationv1.Lease {
	now := metav1.NowMicro()
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name, Labels: map[string]string{"berth.dev/replica": "true"}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
}

func leaseOf(t *testing.T, c client.Client, name string) *coordinationv1.Lease {
	t.Helper()
	lease := &coordinationv1.Lease{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: name}, lease); err != nil {
		t.Fatal(err)
	}
	return lease
}

// readyOf reads what a policy says of its newest generation, nil for nothing.
func readyOf(t *testing.T, c client.Client, policy *v1alpha1.PlacementPolicy) *metav1.Condition {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
		t.Fatal(err)
	}
	ready := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.ObservedGeneration != policy.Generation {
		return nil
	}
	return ready
}

func isReady(t *testing.T, c client.Client, policy *v1alpha1.PlacementPolicy) bool {
	t.Helper()
	ready := readyOf(t, c, policy)
	return ready != nil && ready.Status == metav1.ConditionTrue
}

func TestAPolicyIsReadyWhenEveryReplicaThatIsAliveUsesIt(t *testing.T) {
	c := admin(t)
	own := startReplica(t)
	slow := newLease("test-slow", 60)
	apiserver.Create(t, c, slow)
	policy := newPolicy("in-use", "in-use")
	apiserver.Create(t, c, policy)

	var ready *metav1.Condition
	apiserver.Eventually(t, "the policy says whom it waits for", func() bool {
		ready = readyOf(t, c, policy)
		return ready != nil
	})
	if ready.Status != metav1.ConditionFalse || ready.Reason != "NotInUse" || !strings.Contains(ready.Message, "test-slow") {
		t.Fatalf("while a replica does not use it, the policy says %v", ready)
	}
	apiserver.Change(t, c, slow, func() { slow.Annotations = leaseOf(t, c, own.name).Annotations })
	apiserver.Eventually(t, "the policy is ready", func() bool { return isReady(t, c, policy) })

	apiserver.Change(t, c, policy, func() { policy.Spec.Mode = v1alpha1.ModeAudit })
	apiserver.Eventually(t, "the new generation waits, too", func() bool {
		ready = readyOf(t, c, policy)
		return ready != nil && ready.Reason == "NotInUse"
	})
	if err := c.Delete(t.Context(), slow); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the new generation is ready", func() bool { return isReady(t, c, policy) })
}

func TestAReplicaThatIsSilentForLongerThanItsLeaseIsNotWaitedFor(t *testing.T) {
	c := admin(t)
	startReplica(t)
	apiserver.Create(t, c, newLease("test-killed", 4))
	policy := newPolicy("silent", "silent")
	apiserver.Create(t, c, policy)
	apiserver.Eventually(t, "the policy waits for it", func() bool { return readyOf(t, c, policy) != nil })
	if isReady(t, c, policy) {
		t.Error("the policy did not wait for the replica")
	}
	apiserver.Eventually(t, "the policy is ready", func() bool { return isReady(t, c, policy) })
}

func TestALeaseThatSomebodyDeletesComesBackAndOneOfAReplicaThatEndsGoes(t *testing.T) {
	c := admin(t)
	r := startReplica(t)
	if err := c.Delete(t.Context(), leaseOf(t, c, r.name)); err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: r.name}
	apiserver.Eventually(t, "the Lease is back", func() bool { return c.Get(t.Context(), key, &coordinationv1.Lease{}) == nil })
	r.stop()
	if err := c.Get(t.Context(), key, &coordinationv1.Lease{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the replica has ended, its Lease: %v", err)
	}
}

func TestReplicasWriteTheirLeasesSeldom(t *testing.T) {
	c := admin(t)
	replicas := []*replica{startReplica(t), startReplica(t), startReplica(t)}
	apiserver.Eventually(t, "one leads", func() bool { return replicas[0].election.Leads() })
	for _, r := range replicas {
		r.writes.lease.Store(0)
	}
	began := time.Now()
	for _, name := range []string{"seldom-1", "seldom-2", "seldom-3"} {
		policy := newPolicy(name, "seldom")
		apiserver.Create(t, c, policy)
		apiserver.Eventually(t, name+" is ready", func() bool { return isReady(t, c, policy) })
	}
	time.Sleep(7 * time.Second)
	renewals := int32(time.Since(began)/(5*time.Second)) + 1
	for _, r := range replicas {
		if got := r.writes.lease.Load(); got < 3 || got > 3+renewals {
			t.Errorf("a replica wrote its Lease %d times for 3 policies, want one for each and at most %d renewals", got, renewals)
		}
	}
	status := replicas[0].writes.status.Load()
	if status < 3 || status > 6 {
		t.Errorf("%d writes of the status of 3 new policies, want one or two for each", status)
	}
}
