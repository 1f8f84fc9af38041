package webhook

import (
	"github.com/go-logr/logr"

	"berth.dev/berth/admission"
)

// MutatePath is where a Mutator is served.
const MutatePath = "/mutate-apps-v1-daemonset"

// Mutator answers with the patch that makes a DaemonSet comply, or with a denial where no patch can.
type Mutator struct{ endpoint }

// NewMutator returns a Mutator that knows the cluster by facts and logs its denials. The webhook configurations keep
// DaemonSets of the excluded priority classes from it.
func NewMutator(facts Facts, logger logr.Logger, excludedClasses ...string) *Mutator {
	return &Mutator{newEndpoint("mutate", facts, logger, admission.Evaluator{ExcludedPriorityClasses: excludedClasses, Answer: admission.Mutation})}
}
