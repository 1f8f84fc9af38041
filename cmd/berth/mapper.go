package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"berth.dev/berth/audit"
	"berth.dev/berth/cluster"
	"berth.dev/berth/coverage"
	"berth.dev/berth/manifests"
	"berth.dev/berth/report"
)

// mapper asks the server's own code about all DaemonSets, and coverage how things stand on each node.
type mapper struct {
	facts     *mapFacts
	excluded  audit.Excluded
	namespace string // the one whose DaemonSets are drawn; empty: all
	// poolLabels is those that name a node's pool.
	poolLabels []string

	snapshot *cluster.Snapshot
}

func (m *mapper) draw(ctx context.Context) (*report.Map, error) {
	f := m.facts
	f.daemonSets = slices.DeleteFunc(f.daemonSets, func(ds *mappedDaemonSet) bool {
		return m.namespace != "" && ds.Namespace != m.namespace
	})
	if len(f.daemonSets) == 0 {
		return nil, fmt.Errorf("there is no DaemonSet in %s: nothing to draw", cmp.Or(m.namespace, "any namespace"))
	}
	m.addNamespaces()
	m.snapshot = f.set.Snapshot(ctx)
	for _, problem := range f.set.Problems {
		if problem.Rule == manifests.RuleInvalidPolicy {
			f.said = append(f.said, fmt.Sprintf("what %s requires: it is not valid: %s", problem.Object, problem.Message))
		}
	}
	defaults := coverage.NewPodDefaults(f.set.LimitRanges, f.set.RuntimeClasses)
	b := report.NewMapBuilder(f.set.Nodes, m.poolLabels)
	for _, ds := range f.daemonSets {
		said := m.explain(ctx, ds)
		b.Add(said, report.AmountOf(coverage.RequestsOf(&defaults.In(ds.Namespace, &ds.Spec.Template).Spec)), m.nodes(ds))
	}
	drawn := b.Map()
	drawn.Title, drawn.At, drawn.Pods, drawn.Unknown = f.title, f.at, f.pods != nil, f.said
	return drawn, nil
}

// addNamespaces adds those that are not known: they are taken to have no labels.
func (m *mapper) addNamespaces() {
	f, known := m.facts, sets.New[string]()
	for i := range f.set.Namespaces {
		known.Insert(f.set.Namespaces[i].Name)
	}
	for _, ds := range f.daemonSets {
		if known.Has(ds.Namespace) {
			continue
		}
		known.Insert(ds.Namespace)
		f.set.Namespaces = append(f.set.Namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ds.Namespace}})
		if f.at.IsZero() && len(f.set.Policies) > 0 {
			f.said = append(f.said, fmt.Sprintf("labels and annotations of namespace %s, which is taken to have none: it is not among the files", ds.Namespace))
		}
	}
}

// explain says who placed a DaemonSet, as berth explain does.
func (m *mapper) explain(ctx context.Context, ds *mappedDaemonSet) *report.Explanation {
	e := explainer{excluded: m.excluded, ds: ds.DaemonSet, whole: ds.whole, snapshot: m.snapshot, noPolicies: m.facts.noPolicies}
	e.space, _ = m.snapshot.Namespace(ds.Namespace)
	said := &report.Explanation{Namespace: ds.Namespace, Name: ds.Name}
	switch {
	case m.facts.webhooksKnown:
		said.LeftOut = e.leftOutBy(ctx, m.facts.webhooks)
	case m.excluded.Has(ds.DaemonSet, e.space):
		said.LeftOut = []string{"as the flags of the scope say, for which see --help"}
	}
	said.Placement = e.written(e.policies(ctx, said))
	for _, unknown := range e.said {
		if !slices.Contains(m.facts.said, unknown) {
			m.facts.said = append(m.facts.said, unknown)
		}
	}
	return said
}

// nodes says how things stand on each.
func (m *mapper) nodes(ds *mappedDaemonSet) []coverage.Node {
	f := m.facts
	if f.pods == nil {
		return coverage.Would(&ds.Spec.Template, f.set.Nodes)
	}
	return coverage.Live(&coverage.Facts{
		DaemonSet: ds.DaemonSet, Nodes: f.set.Nodes, Pods: f.pods[ds.UID], Now: cmp.Or(f.at, time.Now()),
		Revision: coverage.CurrentRevision(ds.DaemonSet, f.revisions[ds.UID]), CreateError: f.createErrors[ds.UID],
	})
}
