// Package doctor looks at an installation of berth and says what is wrong with it, and what to do.
//
//	doctor.go         what a diagnosis is
//	cluster.go        what is looked at, each thing read once
//	probe.go          a DaemonSet and a Pod that are asked about by dry runs
//
// and one file a section: configurations.go, webhooks.go, certificates.go, replicas.go, versions.go, scope.go,
// podnodeselector.go, others.go, rights.go, policies.go, daemonsets.go.
package doctor
