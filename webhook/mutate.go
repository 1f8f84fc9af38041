package webhook

import (
	"github.com/go-logr/logr"

	"berth.dev/berth/admission"
)

// MutatePath is where a Mutator is served.
const MutatePath = "/mutate-apps-v1-daemonset"

// Mutator answers with the patch that makes a DaemonSet comply, or with a denial where no patch can.
type Mutator struct{ endpoint }

// NewMutator returns a Mutator that knows the cluster by facts and logs its denials.
func NewMutator(facts Facts, logger logr.Logger) *Mutator {
	return &Mutator{newEndpoint("mutate", facts, logger, admission.Mutation)}
}
