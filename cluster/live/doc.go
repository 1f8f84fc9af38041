// Package live follows a cluster by informers and publishes what it knows as
// cluster.Snapshots, one after the other.
//
//	watch.go       the API server's objects → changes, without what nobody reads
//	facts.go       changes → the next snapshot
//	policies.go    which version of each policy is in force
//	namespaces.go  a namespace younger than the snapshot → one GET
package live
