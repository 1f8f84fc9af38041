// Package cluster is what berth must know of a cluster to decide: the compiled
// policies with their matchConditions, the labels and annotations of the
// namespaces, and an index of the nodes' labels and taints, all in one immutable
// Snapshot.
//
// It is pure: where the facts come from is for others to know, such as
// cluster/live. A request loads a single pointer: it makes no API call, takes no
// lock and compiles nothing.
package cluster
