// Package placement decides on which nodes a DaemonSet may run: policies, a
// namespace, a DaemonSet and the nodes in, a Decision out.
//
// It is pure. Nothing here does I/O, reads a clock, logs or keeps state, and no
// input is ever written to. Errors belong to Compile; Decide cannot fail.
//
// A DaemonSet complies if and only if Decide has nothing left to do: the
// mutating webhook answers the patch, the validating webhook decides again on
// the final object and denies on a violation or a leftover patch.
//
// The laws, each of which is a test:
//
//   - deterministic: byte for byte, whatever the order of policies or maps
//   - idempotent: apply the patch, decide again: nothing
//   - narrowing: every node eligible after was eligible before
//   - leaf-only: no operation overwrites what it does not know
//   - applicable: the patch applies to the raw object
//   - total: no panic on anything that decodes
package placement
