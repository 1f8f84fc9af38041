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

// notMutated is short enough for a warning.
const notMutated = "stored without what policies require: berth was not asked in time; the next change of the pod template adds it"

// BestEffortValidation is Validation where the API server goes on when the mutating webhook does not answer: what that one has
// not written is no reason to deny.
func BestEffortValidation(decision *placement.Decision) Answer {
	answer := Validation(decision)
	if answer.Result == DeniedLeftover {
		return Answer{Result: AllowedLeftover, Warnings: []string{notMutated}}
	}
	return answer
}
