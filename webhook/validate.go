package webhook

import (
	"github.com/go-logr/logr"

	"berth.dev/berth/admission"
)

// ValidatePath is where a Validator is served.
const ValidatePath = "/validate-apps-v1-daemonset"

// Validator decides again on the final object, and denies one that does not comply: another webhook, called after the
// Mutator, may have changed what the Mutator wrote.
type Validator struct{ endpoint }

// BestEffortValidatePath is where a Validator is served for webhooks with failurePolicy Ignore.
const BestEffortValidatePath = "/validate-best-effort-apps-v1-daemonset"

// NewBestEffortValidator returns a Validator that lets through what the Mutator was not asked about: with failurePolicy
// Ignore the API server goes on without it.
func NewBestEffortValidator(facts Facts, logger logr.Logger, excludedClasses ...string) *Validator {
	return newValidator(facts, logger, admission.Evaluator{ExcludedPriorityClasses: excludedClasses, Answer: admission.BestEffortValidation})
}

// NewValidator returns a Validator that knows the cluster by facts and logs its denials. The webhook configurations keep
// DaemonSets of the excluded priority classes from it.
func NewValidator(facts Facts, logger logr.Logger, excludedClasses ...string) *Validator {
	return newValidator(facts, logger, admission.Evaluator{ExcludedPriorityClasses: excludedClasses, Answer: admission.Validation})
}

func newValidator(facts Facts, logger logr.Logger, evaluator admission.Evaluator) *Validator {
	return &Validator{newEndpoint("validate", facts, logger, evaluator)}
}
