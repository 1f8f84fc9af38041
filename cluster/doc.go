// Package cluster keeps in memory what berth must know of the cluster to answer
// a request: the compiled policies, the labels of the namespaces, and an index
// of the node labels.
//
// Facts gathers them from informers and publishes them as one immutable
// Snapshot. A request loads a single pointer: it makes no API call, takes no
// lock and compiles nothing. StatusController writes back what became of each
// policy.
package cluster
