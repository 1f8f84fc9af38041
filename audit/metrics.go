package audit

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// The DaemonSets and the policies that have series, five and three each: the
// first by name.
const (
	maxDaemonSets = 1000
	maxPolicies   = 1000
)

var (
	nodesDesc = prometheus.NewDesc("berth_daemonset_nodes",
		"Nodes by what they are to a DaemonSet in the scope of a policy. "+
			"running: eligible, with a pod that is ready; "+
			"not_ready: eligible, with a pod that is not; "+
			"missing: eligible, by labels and taints, and without a pod; "+
			"blocked_by_taint: selected by labels, with a taint that is not tolerated; "+
			"excluded: not selected by labels. "+
			"Only the leader has the first 1000 DaemonSets by namespace and name.",
		[]string{"namespace", "daemonset", "state"}, nil)
	policyDesc = prometheus.NewDesc("berth_policy_daemonsets",
		"DaemonSets by what they are to a policy. matched: it applies to them; compliant: they have what it requires; "+
			"would_change: berth would change them with the next change of their template. "+
			"Only the leader has the first 1000 policies by name.",
		[]string{"policy", "state"}, nil)
	omittedDesc = prometheus.NewDesc("berth_daemonset_nodes_omitted",
		"DaemonSets in the scope of a policy beyond those that have berth_daemonset_nodes.", nil, nil)
)

// Describe implements prometheus.Collector.
func (a *Auditor) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- nodesDesc
	descriptions <- policyDesc
	descriptions <- omittedDesc
}

// Collect implements prometheus.Collector. What is no longer in the report has
// no series.
func (a *Auditor) Collect(metrics chan<- prometheus.Metric) {
	r := a.report.Load()
	if r == nil {
		return
	}
	for _, ds := range r.daemonSets {
		for state, nodes := range map[string]int{
			"running": ds.running, "not_ready": ds.notReady, "excluded": ds.excluded, "blocked_by_taint": ds.blocked, "missing": ds.missing,
		} {
			metrics <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(nodes), ds.namespace, ds.name, state)
		}
	}
	names := slices.Sorted(maps.Keys(r.policies))
	for _, name := range names[:min(len(names), maxPolicies)] {
		counts := r.policies[name].daemonSets
		for state, daemonSets := range map[string]int32{
			"matched": counts.Matched, "compliant": counts.Compliant, "would_change": counts.WouldChange,
		} {
			metrics <- prometheus.MustNewConstMetric(policyDesc, prometheus.GaugeValue, float64(daemonSets), name, state)
		}
	}
	metrics <- prometheus.MustNewConstMetric(omittedDesc, prometheus.GaugeValue, float64(r.omitted))
}
