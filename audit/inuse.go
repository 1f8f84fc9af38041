package audit

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
)

const (
	// lookAgain is how often it is looked whether a policy is in use by now.
	lookAgain = 250 * time.Millisecond
	// awaitedQuietly is how long a status says nothing of a policy that is not: most
	// are, before anybody has read it.
	awaitedQuietly = 2 * time.Second
)

// inUseWait is since when a version of a policy is waited for.
type inUseWait struct {
	version cluster.PolicyVersion
	since   time.Time
}

// awaited says why a policy is not in use by all replicas. Its message is empty
// if it is.
type awaited struct {
	message    string
	isLong     bool
	generation int64
}

// awaited looks whether every replica that is alive uses this version of the
// policy. What has been so once stays so: a replica that comes later has it when
// its first request comes.
func (c *StatusController) awaited(policy *v1alpha1.PlacementPolicy) awaited {
	version := cluster.PolicyVersion{UID: policy.UID, Generation: policy.Generation}
	last := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionReady)
	saidBefore := last != nil && last.ObservedGeneration == policy.Generation && last.Reason != reasonNotInUse
	message := ""
	if !saidBefore {
		message = c.notInUse(policy.Name, version)
	}
	if message == "" {
		delete(c.waits, policy.Name)
		return awaited{}
	}
	wait := c.waits[policy.Name]
	if wait.version != version {
		wait = inUseWait{version: version, since: time.Now()}
		c.waits[policy.Name] = wait
	}
	return awaited{message: message, isLong: time.Since(wait.since) >= awaitedQuietly, generation: policy.Generation}
}

// notInUse says which replica does not use the version; empty: all do.
func (c *StatusController) notInUse(name string, version cluster.PolicyVersion) string {
	snapshot := c.auditor.Facts.Snapshot()
	if snapshot == nil || snapshot.PolicyVersions()[name] != version {
		return "the replica of berth that writes this does not use this generation yet"
	}
	if c.auditor.Replicas == nil {
		return ""
	}
	without, known := c.auditor.Replicas.without(version)
	switch {
	case !known:
		return "berth does not know yet which replicas there are"
	case len(without) == 0:
		return ""
	}
	return fmt.Sprintf("%d replicas of berth do not use this generation yet, the first is %s: a DaemonSet that is written now may go by the one before", len(without), without[0])
}

func (a awaited) condition() metav1.Condition {
	return metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reasonNotInUse,
		Message: a.message, ObservedGeneration: a.generation,
	}
}

// soonest returns the shorter of two durations, of which 0 is none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
