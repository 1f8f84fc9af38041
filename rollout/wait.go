package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/coverage"
)

// Reader reads what a wait looks at.
type Reader interface {
	// DaemonSets are those to wait for, as they are now. The counters in their status are cheap to look at.
	DaemonSets(ctx context.Context) ([]appsv1.DaemonSet, error)
	// Live is each node as one DaemonSet sees it, or several one after the other: the nodes are read once for all.
	Live(ctx context.Context, daemonSets []*appsv1.DaemonSet) ([][]coverage.Node, error)
}

// Wait waits for DaemonSets.
type Wait struct {
	Demands
	Reader Reader
	// Timeout is how long; zero: they are looked at once.
	Timeout time.Duration
	// Every is how often the DaemonSets are looked at, and LookEvery how often nodes and pods of one that is not complete by its
	// counters.
	Every, LookEvery time.Duration
	// Tell is told of everything that changes.
	Tell func(Progress)
	// Fatal says of an error of the Reader that trying again is of no use.
	Fatal func(error) bool
}

// finish is how long the last look may take, when the time is over.
const finish = 30 * time.Second

// waiting is a Wait under way.
type waiting struct {
	*Wait
	keys     []types.NamespacedName
	progress map[types.NamespacedName]*Progress
	// counted is what the counters of each said last, and looked when nodes were looked at last.
	counted map[types.NamespacedName]string
	looked  time.Time
	last    error
}

// Run waits until every DaemonSet is complete or has failed, or the time is over, and returns how far each is, in the order of the
// first reading. An error means that they could not be read.
func (w *Wait) Run(ctx context.Context) ([]Progress, error) {
	r := &waiting{Wait: w, progress: map[types.NamespacedName]*Progress{}, counted: map[types.NamespacedName]string{}}
	over := time.Now().Add(w.Timeout)
	for {
		last := w.Timeout == 0 || !time.Now().Before(over)
		if err := r.look(ctx, last); err != nil {
			return nil, err
		}
		if last || r.settled() {
			break
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("interrupted while waiting")
		case <-time.After(min(w.Every, time.Until(over))):
		}
	}
	if r.last != nil {
		return nil, fmt.Errorf("read the cluster: %w", r.last)
	}
	all := make([]Progress, 0, len(r.keys))
	for _, key := range r.keys {
		all = append(all, *r.progress[key])
	}
	return all, nil
}

// look looks once, and at nodes and pods where that may tell something new. What fails for a moment is tried again until the time
// is over.
func (r *waiting) look(ctx context.Context, last bool) error {
	ctx, cancel := context.WithTimeout(ctx, finish)
	defer cancel()
	first := r.keys == nil
	err := r.read(ctx, last)
	if err != nil && (first || r.Fatal(err)) {
		return err
	}
	r.last = err
	return nil
}

func (r *waiting) read(ctx context.Context, last bool) error {
	list, err := r.Reader.DaemonSets(ctx)
	if err != nil {
		return err
	}
	now := map[types.NamespacedName]*appsv1.DaemonSet{}
	for i := range list {
		key := types.NamespacedName{Namespace: list[i].Namespace, Name: list[i].Name}
		now[key] = &list[i]
	}
	r.begin(list)
	due := last || time.Since(r.looked) >= r.LookEvery
	var closer []*appsv1.DaemonSet
	for _, key := range r.keys {
		ds := now[key]
		switch before := r.progress[key]; {
		case before.Outcome != Waiting:
		case ds == nil:
			r.tell(key, Progress{Namespace: key.Namespace, Name: key.Name, Outcome: Failed, Reason: "it has been deleted"})
		case due || looksComplete(ds):
			r.counted[key] = Observe(ds).Reason
			closer = append(closer, ds)
		default:
			r.count(key, Observe(ds))
		}
	}
	if due {
		r.looked = time.Now()
	}
	return r.lookCloser(ctx, closer)
}

// begin notes the DaemonSets of the first reading: those are waited for, whatever comes later.
func (r *waiting) begin(list []appsv1.DaemonSet) {
	if r.keys != nil {
		return
	}
	for i := range list {
		key := types.NamespacedName{Namespace: list[i].Namespace, Name: list[i].Name}
		r.keys = append(r.keys, key)
		r.progress[key] = &Progress{Namespace: key.Namespace, Name: key.Name, Outcome: Waiting}
	}
}

func (r *waiting) lookCloser(ctx context.Context, daemonSets []*appsv1.DaemonSet) error {
	if len(daemonSets) == 0 {
		return nil
	}
	nodes, err := r.Reader.Live(ctx, daemonSets)
	if err != nil {
		return err
	}
	for i, ds := range daemonSets {
		r.tell(types.NamespacedName{Namespace: ds.Namespace, Name: ds.Name}, r.Judge(ds, nodes[i]))
	}
	return nil
}

// count tells what the counters say, where that is news: what was seen of the nodes says more.
func (r *waiting) count(key types.NamespacedName, p Progress) {
	if r.counted[key] == p.Reason {
		return
	}
	r.counted[key] = p.Reason
	r.tell(key, p)
}

func (r *waiting) tell(key types.NamespacedName, p Progress) {
	before := *r.progress[key]
	r.progress[key] = &p
	if before.Outcome != p.Outcome || before.Reason != p.Reason {
		r.Tell(p)
	}
}

func (r *waiting) settled() bool {
	for _, p := range r.progress {
		if p.Outcome == Waiting {
			return false
		}
	}
	return true
}
