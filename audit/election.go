package audit

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	clientelection "k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/leaderelection"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// The times that Kubernetes' own components use.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// LeaseName is the name of the Lease that the leader holds: no replica may have it for its own.
const LeaseName = "berth"

// Election decides which replica writes.
//
// The manager's own election ends the process that loses the Lease, and an API
// server away for ten seconds takes it from everybody: all replicas would stop
// to answer just when the API server comes back. Here the loser only stops to
// write.
type Election struct {
	lock    resourcelock.Interface // nil: there is no other replica
	log     logr.Logger
	elector atomic.Pointer[clientelection.LeaderElector]
	elected chan elected // of one place
}

// elected is the event of this replica becoming the leader.
type elected = event.TypedGenericEvent[struct{}]

// NewElection returns an election for the Lease in the namespace; empty is the
// Pod's own.
func NewElection(mgr manager.Manager, namespace string) (*Election, error) {
	lock, err := leaderelection.NewResourceLock(mgr.GetConfig(), mgr, leaderelection.Options{
		LeaderElection:          true,
		LeaderElectionID:        LeaseName,
		LeaderElectionNamespace: namespace,
		RenewDeadline:           renewDeadline,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the leader election: %w", err)
	}
	return &Election{lock: lock, log: mgr.GetLogger().WithName("election"), elected: make(chan elected, 1)}, nil
}

// NoElection is for a single replica, which always leads.
func NoElection() *Election { return &Election{elected: make(chan elected)} }

// Leads says whether this replica is the leader.
func (e *Election) Leads() bool {
	if e.lock == nil {
		return true
	}
	elector := e.elector.Load()
	return elector != nil && elector.IsLeader()
}

// NeedLeaderElection tells the manager to run the election on every replica.
func (e *Election) NeedLeaderElection() bool { return false }

// Start stands for election until the context ends, and then lets go of the
// Lease, so that another replica need not wait for its end.
func (e *Election) Start(ctx context.Context) error {
	if e.lock == nil {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		elector, err := clientelection.NewLeaderElector(clientelection.LeaderElectionConfig{
			Name:            LeaseName,
			Lock:            e.lock,
			LeaseDuration:   leaseDuration,
			RenewDeadline:   renewDeadline,
			RetryPeriod:     retryPeriod,
			ReleaseOnCancel: true,
			Callbacks: clientelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { e.announce() },
				OnStoppedLeading: func() { e.elector.Store(nil) },
			},
		})
		if err != nil {
			return fmt.Errorf("stand for election: %w", err)
		}
		e.elector.Store(elector)
		elector.Run(ctx)
		if ctx.Err() == nil {
			e.log.Info("Lost the lease: another replica may write the status of policies, this one goes on answering requests")
		}
	}
	return nil
}

func (e *Election) announce() {
	select {
	case e.elected <- elected{}:
	default:
	}
}
