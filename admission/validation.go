package admission

import "berth.dev/berth/placement"

// Validation denies a final object that does not comply: another webhook, called after the mutating one, may have changed
// what that one wrote.
func Validation(decision *placement.Decision) Answer {
	if denied := decision.Denied(); len(denied) > 0 {
		return Answer{Result: DeniedViolation, Denied: denied}
	}
	if leftover := decision.Leftover(); len(leftover) > 0 {
		return Answer{Result: DeniedLeftover, Denied: leftover}
	}
	return Answer{Result: AllowedCompliant}
}
