// Package cluster keeps in memory what berth must know of the cluster to answer
// a request: the compiled policies with their matchConditions, the labels and
// annotations of the namespaces, and an index of the nodes' labels and taints.
//
// Facts gathers them from informers and publishes them as one immutable
// Snapshot. A request loads a single pointer: it makes no API call, takes no
// lock and compiles nothing.
package cluster
