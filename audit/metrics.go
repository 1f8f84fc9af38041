package audit

import "github.com/prometheus/client_golang/prometheus"

// maxDaemonSets is how many DaemonSets have series, four each: the first by
// namespace and name.
const maxDaemonSets = 1000

var (
	nodesDesc = prometheus.NewDesc("berth_daemonset_nodes",
		"Nodes by what they are to a DaemonSet in the scope of a policy. "+
			"running: eligible, with a pod that is ready; "+
			"missing: eligible, by labels and taints, and without a pod; "+
			"blocked_by_taint: selected by labels, with a taint that is not tolerated; "+
			"excluded: not selected by labels. "+
			"An eligible node whose pod is not ready is in none of them. "+
			"Only the leader has the first 1000 DaemonSets by namespace and name.",
		[]string{"namespace", "daemonset", "state"}, nil)
	omittedDesc = prometheus.NewDesc("berth_daemonset_nodes_omitted",
		"DaemonSets in the scope of a policy beyond those that have berth_daemonset_nodes.", nil, nil)
)

// Describe implements prometheus.Collector.
func (a *Auditor) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- nodesDesc
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
			"running": ds.running, "excluded": ds.excluded, "blocked_by_taint": ds.blocked, "missing": ds.missing,
		} {
			metrics <- prometheus.MustNewConstMetric(nodesDesc, prometheus.GaugeValue, float64(nodes), ds.namespace, ds.name, state)
		}
	}
	metrics <- prometheus.MustNewConstMetric(omittedDesc, prometheus.GaugeValue, float64(r.omitted))
}
