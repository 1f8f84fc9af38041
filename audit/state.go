package audit

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// state is what an audit found.
type state struct {
	excluded Excluded
	live     client.Reader
	log      logr.Logger

	snapshot *cluster.Snapshot
	places   places
	entries  map[types.NamespacedName]*entry
	// unread says that an entry is, so that the next audit has to try again.
	unread bool
	// eventsDue has the DaemonSets of whose problem an Event is still to be written.
	eventsDue map[types.NamespacedName]bool
}

// entry is what the audit found in one DaemonSet.
type entry struct {
	daemonSet *appsv1.DaemonSet
	place     *place
	findings  []policyFinding
	conflicts []placement.Conflict
	// problem is why it does not comply with a policy in mode Enforce; nil: it does.
	problem *problem
	answers answers
	// unread says that policies with matchConditions could not be asked.
	unread bool
}

// policyFinding is what the counts of a policy need to know of one DaemonSet.
type policyFinding struct {
	policy            string
	complies, patched bool
}

// place is where the pods of a template run. Many DaemonSets share one.
type place struct {
	survey placement.Survey
	nodes  cluster.Places
}

// places is placement.Nodes with a memory, for as long as the nodes stay.
type places struct {
	snapshot *cluster.Snapshot
	known    map[string]*place
}

// maxPlaces is when the memory is emptied: DaemonSets come and go in a cluster
// of which no node changes, too.
const maxPlaces = 4096

// Survey implements placement.Nodes. Most templates stay as they are.
func (p *places) Survey(before, after *placement.Template) placement.Survey {
	if before != nil && !before.Equal(after) {
		return p.snapshot.Nodes().Survey(before, after)
	}
	return p.at(after).survey
}

func (p *places) at(template *placement.Template) *place {
	read := *template
	read.Labels = nil                // They choose no node.
	encoded, _ := json.Marshal(read) // Strings, numbers and booleans: cannot fail.
	key := string(encoded)
	if known := p.known[key]; known != nil {
		return known
	}
	if len(p.known) >= maxPlaces {
		clear(p.known)
	}
	found := &place{survey: p.snapshot.Nodes().Survey(nil, template), nodes: p.snapshot.Places(template)}
	p.known[key] = found
	return found
}

// update decides again what the changes may have changed.
func (s *state) update(ctx context.Context, snapshot *cluster.Snapshot, changed map[types.NamespacedName]*appsv1.DaemonSet) {
	everything := snapshot != s.snapshot
	if s.snapshot == nil || snapshot.Nodes() != s.snapshot.Nodes() {
		s.places = places{snapshot: snapshot, known: map[string]*place{}}
	}
	s.snapshot, s.unread = snapshot, false
	before := s.entries
	s.entries = make(map[types.NamespacedName]*entry, len(before)+len(changed))
	for key, last := range before {
		if _, isChanged := changed[key]; !isChanged {
			s.entries[key] = s.reviewIfChanged(ctx, last, last.daemonSet, everything)
		}
	}
	for key, ds := range changed {
		if ds != nil {
			s.entries[key] = s.reviewIfChanged(ctx, before[key], ds, everything)
		}
	}
	eventsDue := map[types.NamespacedName]bool{}
	for key, found := range s.entries {
		s.unread = s.unread || found.unread
		if found.problem != nil && (s.eventsDue[key] || before[key].stopsComplying(found.daemonSet)) {
			eventsDue[key] = true
		}
	}
	s.eventsDue = eventsDue
}

// tell returns problems of which to tell, the first by namespace and name, and
// leaves the rest for later.
func (s *state) tell(most int) []*problem {
	var problems []*problem
	for _, key := range slices.SortedFunc(maps.Keys(s.eventsDue), compareKeys) {
		if len(problems) == most {
			break
		}
		problems = append(problems, s.entries[key].problem)
		delete(s.eventsDue, key)
	}
	return problems
}

// reviewIfChanged returns what is found in a DaemonSet now, of which last (nil: nothing)
// was found before. It decides only where that may be something else.
func (s *state) reviewIfChanged(ctx context.Context, last *entry, ds *appsv1.DaemonSet, everything bool) *entry {
	if last == nil || everything || last.unread || !decidedAlike(last.daemonSet, ds) {
		return s.review(ctx, ds, last)
	}
	counted := *last
	counted.daemonSet = ds
	return &counted
}

// stopsComplying says whether a problem of the DaemonSet is news.
func (e *entry) stopsComplying(ds *appsv1.DaemonSet) bool {
	return e == nil || e.problem == nil || e.daemonSet.UID != ds.UID
}

// review decides on one DaemonSet, of which last is what was found before.
func (s *state) review(ctx context.Context, ds *appsv1.DaemonSet, last *entry) *entry {
	found := &entry{daemonSet: ds}
	policies, known := s.snapshot.PoliciesFor(ds.Namespace)
	if namespace, _ := s.snapshot.Namespace(ds.Namespace); !known || policies.Len() == 0 || s.excluded.Has(ds, namespace) {
		return found
	}
	object := placement.ObjectOf(ds)
	q := &cluster.Question{Question: *placement.NextTemplateChange(object, &s.places), Policies: policies, Met: s.ask(ctx, found, last)}
	selected := s.snapshot.Select(q)
	verdicts := selected.Verdicts(&q.Question)
	verdicts = slices.DeleteFunc(verdicts, func(v placement.Verdict) bool { return v.Waits == placement.ReasonCondition })
	if len(verdicts) == 0 {
		return found
	}
	found.place = s.places.at(&object.Template)
	found.conflicts = selected.Conflicts(object)
	found.findings = make([]policyFinding, len(verdicts))
	for i := range verdicts {
		v := &verdicts[i]
		// What is denied changes nothing.
		found.findings[i] = policyFinding{policy: v.Policy, complies: v.Complies(), patched: v.Changes() && denial(verdicts, v.Mode) == nil}
	}
	found.problem = newProblem(ds, verdicts)
	return found
}
