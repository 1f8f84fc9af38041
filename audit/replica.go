package audit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coordinationv1ac "k8s.io/client-go/applyconfigurations/coordination/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"berth.dev/berth/cluster"
)

// A replica's Lease has a label by which it is found, and says in an annotation
// which policies the replica uses.
const (
	replicaLabel        = "berth.dev/replica"
	policiesAnnotation  = "berth.dev/policies-in-use"
	replicaFieldManager = "berth"
)

const (
	// renewEvery is how often a replica writes its Lease though it has nothing new
	// to say.
	renewEvery = 5 * time.Second
	// noticeEvery is how often it looks whether it has.
	noticeEvery = 50 * time.Millisecond
	// writeTimeout bounds one write.
	writeTimeout = 5 * time.Second
)

// A few new statements in a row are written at once, and then one a second: who
// edits policies all the time must not make every replica write all the time.
const (
	statementsAtOnce    = 10
	statementsPerSecond = 1
)

var errUnstated = errors.New("the other replicas have not been told yet which policies this one uses")

// ReplicaOptions is what a Replica works with.
type ReplicaOptions struct {
	// Facts returns what the replica answers requests by, or nil while it cannot.
	Facts  interface{ Snapshot() *cluster.Snapshot }
	Leases coordinationv1client.LeaseInterface
	// Name is the Lease's, another one for each replica that runs at a time.
	Name string
	// Pod is the uid of the Pod of this name, with which the Lease goes; empty: it
	// goes with nothing.
	Pod types.UID
	Log logr.Logger
}

// Replica says in a Lease of its own which version of each policy this process
// uses, so that a policy is Ready when all do.
type Replica struct {
	ReplicaOptions
	limit  *rate.Limiter
	stated atomic.Bool

	// Of Start's goroutine alone: what was written last, and of which snapshot it
	// still is what there is to say.
	says   string
	saidAt time.Time
	said   *cluster.Snapshot
}

// NewReplica returns a replica, for the manager to run.
func NewReplica(options ReplicaOptions) *Replica {
	return &Replica{ReplicaOptions: options, limit: rate.NewLimiter(statementsPerSecond, statementsAtOnce)}
}

// NeedLeaderElection tells the manager to run it on every replica.
func (r *Replica) NeedLeaderElection() bool { return false }

// Ready is a readiness check: no request may come before the others know that
// there is one more replica.
func (r *Replica) Ready(*http.Request) error {
	if !r.stated.Load() {
		return errUnstated
	}
	return nil
}

// Start keeps the Lease until the context ends, and then deletes it: one that
// has ended is not waited for.
func (r *Replica) Start(ctx context.Context) error {
	defer r.leave(context.WithoutCancel(ctx))
	complaint := ""
	for ctx.Err() == nil {
		err := r.keep(ctx)
		switch {
		case err == nil:
			complaint = ""
			wait(ctx, noticeEvery)
			continue
		case ctx.Err() == nil && err.Error() != complaint:
			complaint = err.Error()
			r.Log.Error(err, "Cannot tell the other replicas which policies this one uses: trying again")
		}
		wait(ctx, retryPeriod)
	}
	return nil
}

// keep writes the Lease if it is time to, or if there is something new to say.
func (r *Replica) keep(ctx context.Context) error {
	snapshot := r.Facts.Snapshot()
	isDue := time.Since(r.saidAt) >= renewEvery
	if snapshot == nil || snapshot == r.said && !isDue {
		return nil
	}
	says := newStatement(snapshot.PolicyVersions()).encode()
	if says != r.says && !r.limit.Allow() {
		return nil
	}
	if says != r.says || isDue {
		if err := r.state(ctx, says); err != nil {
			return err
		}
		r.says, r.saidAt = says, time.Now()
		r.stated.Store(true)
	}
	r.said = snapshot
	return nil
}

func wait(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}

// state writes the Lease, whoever may have deleted it meanwhile.
func (r *Replica) state(ctx context.Context, says string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	lease := coordinationv1ac.Lease(r.Name, "").
		WithLabels(map[string]string{replicaLabel: "true"}).
		WithAnnotations(map[string]string{policiesAnnotation: says}).
		WithSpec(coordinationv1ac.LeaseSpec().
			WithHolderIdentity(r.Name).
			WithLeaseDurationSeconds(int32(leaseDuration / time.Second)).
			WithRenewTime(metav1.NowMicro()))
	lease.Namespace = nil // the client knows it
	if r.Pod != "" {
		lease.WithOwnerReferences(metav1ac.OwnerReference().WithAPIVersion("v1").WithKind("Pod").WithName(r.Name).WithUID(r.Pod))
	}
	_, err := r.Leases.Apply(ctx, lease, metav1.ApplyOptions{FieldManager: replicaFieldManager, Force: true})
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("berth lacks the right to write its Lease, which its Role gives it (deploy/berth.yaml or the chart has it): %w", err)
	case err != nil:
		return fmt.Errorf("write the Lease %s: %w", r.Name, err)
	}
	return nil
}

func (r *Replica) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	// Should it fail, the Lease ends by itself.
	_ = r.Leases.Delete(ctx, r.Name, metav1.DeleteOptions{})
}
