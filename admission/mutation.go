package admission

import "berth.dev/berth/placement"

// Mutation answers with the patch that makes a DaemonSet comply, or with a denial where no patch can.
func Mutation(decision *placement.Decision) Answer {
	if denied := decision.Denied(); len(denied) > 0 {
		return Answer{Result: DeniedViolation, Denied: denied}
	}
	if len(decision.Patch) > 0 {
		return Answer{Result: Patched, Patch: decision.Patch}
	}
	return Answer{Result: AllowedCompliant}
}
