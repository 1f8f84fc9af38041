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

// NewValidator returns a Validator that knows the cluster by facts and logs its denials.
func NewValidator(facts Facts, logger logr.Logger) *Validator {
	return &Validator{newEndpoint("validate", facts, logger, admission.Validation)}
}
