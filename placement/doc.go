// Package placement decides on which nodes a DaemonSet may run: policies, a
// namespace, a DaemonSet and the nodes in, a Decision out.
//
// It is pure. Nothing here does I/O, reads a clock, logs or keeps state, and no
// input is ever written to. Errors belong to Compile; Decide cannot fail.
//
// A placement is written by two hands: authored is what its author wrote,
// injected what berth added, and stored is both. The annotation berth.dev/injected
// is the receipt: enough to compute authored from stored. Everything is decided
// over authored, in this order:
//
//	stages.go      Policies → InNamespace → Applicable, each with its reasons
//	claimed.go     which claims of the receipt count; what the author changed
//	authored.go    stored − claims = authored
//	required.go    what the policies that act ask for
//	plan.go        what nobody requires is taken back, what is unmet is added
//	decide.go      violations, the ratchet, what is to be stored
//	diff.go        the patch: what differs between what is sent and what is stored
//	verdict.go     the same, policy by policy
//
// A DaemonSet complies if and only if Decide has nothing left to do: the mutating
// webhook answers the patch, the validating webhook decides again on the final
// object and denies on a violation, or where something required is missing.
//
// The laws, each of which is a test, are in CONTRIBUTING.md.
package placement
