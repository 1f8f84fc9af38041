// Package audit looks at the DaemonSets that exist, and reports what the
// policies find in them: in the status of the policies, in metrics, and in an
// Event on a DaemonSet that stops complying.
//
// Only the leader audits. It holds of each DaemonSet what placement reads, decides
// again what a change of policies, namespaces, nodes or DaemonSets may have
// changed, and writes only what is new: a quiet cluster sees no write.
package audit
