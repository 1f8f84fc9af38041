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

// SystemValidatePath is where a Validator of the system tier is served.
const SystemValidatePath = "/validate-system-apps-v1-daemonset"

// NewSystemValidator returns a Validator that lets through what the Mutator was not asked about: webhook configurations that
// ignore a failing Mutator need it.
func NewSystemValidator(facts Facts, logger logr.Logger) *Validator {
	return &Validator{newEndpoint("validate-system", facts, logger, admission.SystemValidation)}
}

// NewValidator returns a Validator that knows the cluster by facts and logs its denials.
func NewValidator(facts Facts, logger logr.Logger) *Validator {
	return &Validator{newEndpoint("validate", facts, logger, admission.Validation)}
}
