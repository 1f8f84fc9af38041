package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// report is what an audit says to the world. It is immutable.
type report struct {
	// policies has each policy that is in force, by name.
	policies map[string]policyReport
	// daemonSets has those in the scope of a policy, sorted, as far as there is
	// room for them in the metrics; omitted is the number of the rest.
	daemonSets []daemonSetReport
	omitted    int
}

// policyReport is what a policy's status says of the cluster.
type policyReport struct {
	daemonSets v1alpha1.DaemonSetCounts
	nodes      v1alpha1.NodeCounts
	// conflict is empty when no other policy contradicts this one.
	conflict string
	// leftOut is why the policy can act on no DaemonSet; empty: it can.
	leftOut string
}

// daemonSetReport is the nodes of a DaemonSet, by what keeps its pods off them.
type daemonSetReport struct {
	namespace, name                               string
	running, notReady, excluded, blocked, missing int
}

// changedSince returns the names of the policies of which the report says
// something else than an earlier one, sorted.
func (r *report) changedSince(earlier *report) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.policies)) {
		if earlier != nil {
			if before, ok := earlier.policies[name]; ok && before == r.policies[name] {
				continue
			}
		}
		names = append(names, name)
	}
	return names
}

// report sums up the state.
func (s *state) report() *report {
	tallies := map[string]*tally{}
	seen := seenConflicts{}
	for _, name := range s.snapshot.Policies().Names() {
		tallies[name] = &tally{}
	}
	for _, name := range slices.Sorted(s.snapshot.Namespaces()) {
		namespace, _ := s.snapshot.Namespace(name)
		policies, _ := s.snapshot.PoliciesFor(name)
		whole := s.excluded.hasWholeNamespace(namespace)
		for _, policy := range policies.Names() {
			tallies[policy].selects(name, whole)
		}
		if s.excluded.hasNamespace(namespace) {
			continue
		}
		seen.add(tallies, policies.Conflicts(), "for every DaemonSet of namespace "+name)
	}
	next := &report{policies: make(map[string]policyReport, len(tallies))}
	for _, key := range slices.SortedFunc(maps.Keys(s.entries), compareKeys) {
		found := s.entries[key]
		for _, f := range found.findings {
			tallies[f.policy].add(f, found.place.nodes)
		}
		seen.add(tallies, found.conflicts, "for DaemonSet "+key.String())
		switch {
		case found.place == nil:
		case len(next.daemonSets) == maxDaemonSets:
			next.omitted++
		default:
			next.daemonSets = append(next.daemonSets, newDaemonSetReport(found.daemonSet, found.place.survey))
		}
	}
	total := s.places.at(&placement.Template{}).survey.Total
	for name, t := range tallies {
		next.policies[name] = policyReport{
			daemonSets: t.daemonSets,
			nodes:      v1alpha1.NodeCounts{Matched: int32(t.nodes.Len()), Total: int32(total)}, //nolint:gosec // there are not 2 billion nodes
			conflict:   t.conflict(),
			leftOut:    t.leftOut(),
		}
	}
	return next
}

func compareKeys(a, b types.NamespacedName) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// newDaemonSetReport tells the nodes apart. The counters are the DaemonSet
// controller's, and may be of a moment ago: no state can be more than there is.
func newDaemonSetReport(ds *appsv1.DaemonSet, survey placement.Survey) daemonSetReport {
	r := daemonSetReport{
		namespace: ds.Namespace, name: ds.Name,
		running:  min(int(ds.Status.NumberReady), survey.Eligible),
		excluded: survey.Total - survey.Eligible - survey.Blocked,
		blocked:  survey.Blocked,
		missing:  max(0, survey.Eligible-int(ds.Status.CurrentNumberScheduled)),
	}
	r.missing = min(r.missing, survey.Eligible-r.running)
	r.notReady = survey.Eligible - r.running - r.missing
	return r
}

// tally is a policy's report in the making.
type tally struct {
	daemonSets v1alpha1.DaemonSetCounts
	nodes      cluster.Places
	// conflicts are descriptions of the first conflicts, in the order of what they
	// are for, each with the first that it is for; others is how many more there are.
	conflicts []string
	others    int
	described map[string]bool
	// excluded are the namespaces that it selects and whose DaemonSets do not come
	// to berth, and comes says that it selects another one.
	excluded []string
	comes    bool
}

// selects notes a namespace that the policy selects.
func (t *tally) selects(namespace string, excluded bool) {
	if excluded {
		t.excluded = append(t.excluded, namespace)
	} else {
		t.comes = true
	}
}

func (t *tally) leftOut() string {
	switch n := len(t.excluded); {
	case n == 0 || t.comes:
		return ""
	case n == 1:
		return fmt.Sprintf("it acts on no DaemonSet: berth's webhook configurations exclude the one namespace that it selects, %s", t.excluded[0])
	default:
		return fmt.Sprintf("it acts on no DaemonSet: berth's webhook configurations exclude the %d namespaces that it selects, the first is %s", n, t.excluded[0])
	}
}

func (t *tally) add(f policyFinding, nodes cluster.Places) {
	t.daemonSets.Matched++
	if f.complies {
		t.daemonSets.Compliant++
	}
	if f.patched {
		t.daemonSets.WouldChange++
	}
	t.nodes.Add(nodes)
}

// seenConflicts are the conflicts that the policies have been told of: the same
// ones are found in many namespaces, and for many DaemonSets.
type seenConflicts map[string]bool

func (s seenConflicts) add(tallies map[string]*tally, conflicts []placement.Conflict, where string) {
	for _, c := range conflicts {
		all := fmt.Appendf(nil, "%q", c.Key)
		for _, wish := range c.Wishes {
			all = strconv.AppendQuote(strconv.AppendQuote(all, wish.Policy), wish.Value)
		}
		if s[string(all)] {
			continue
		}
		s[string(all)] = true
		for _, wish := range c.Wishes {
			t, description := tallies[wish.Policy], c.Describe(wish.Policy)
			if t.described[description] {
				continue
			}
			if t.described == nil {
				t.described = map[string]bool{}
			}
			t.described[description] = true
			if len(t.conflicts) < maxConflicts {
				t.conflicts = append(t.conflicts, description+", "+where)
			} else {
				t.others++
			}
		}
	}
}

// maxConflicts is how many conflicts a policy's status describes.
const maxConflicts = 3

func (t *tally) conflict() string {
	described := t.conflicts
	if t.others > 0 {
		described = append(described, fmt.Sprintf("and %d more conflicts", t.others))
	}
	return strings.Join(described, "; ")
}
