package admission

import (
	"bytes"
	"context"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// Namespaces is where to ask for a namespace that the snapshot does not have.
type Namespaces interface {
	// Namespace asks the API server. It returns cluster.ErrTooManyReads when it is asked too often.
	Namespace(ctx context.Context, name string) (placement.Namespace, error)
}

// namespaceTimeout leaves the API server, which waits for 5 s, the time to hear why there is no answer.
const namespaceTimeout = 3 * time.Second

// Evaluator turns requests into answers.
type Evaluator struct {
	// Namespaces has those that are younger than the snapshot.
	Namespaces Namespaces
	// Memory is for requests that matchConditions look at.
	Memory Budget
	// Answer says what a decision means for a request: Mutation or Validation.
	Answer func(*placement.Decision) Answer
}

// Evaluate answers a review of which Locate and Request have no complaints, by the facts of the snapshot. It looks at the
// objects only where a policy is for their namespace, or where berth has written something that no policy may require any more.
//
// The error is a *field.Error where the objects are malformed, a *TooLargeError, ErrOverloaded or a *NamespaceError.
func (e *Evaluator) Evaluate(ctx context.Context, review *Review, asked Request, snapshot *cluster.Snapshot) (Answer, error) {
	if !asked.placeable() {
		return Answer{Result: AllowedOutOfScope}, nil
	}
	scope, err := e.scope(ctx, asked.Namespace, snapshot)
	if err != nil {
		return Answer{}, err
	}
	policies := scope.policies
	if policies.Len() == 0 && !review.injectedBefore() {
		return Answer{Result: AllowedNoPolicy}, nil
	}
	input, invalid := review.input(asked.Operation)
	if invalid != nil {
		return Answer{}, invalid
	}
	if policies.Conditional() {
		if policies, err = e.applicable(ctx, review, scope); err != nil {
			return Answer{}, err
		}
	}
	input.Nodes = snapshot.Nodes()
	decision := policies.Decide(input)
	a := e.Answer(&decision)
	a.Policies = decision.Policies
	a.Warnings = decision.Warnings
	a.audit(&decision)
	return a, nil
}

// scope is a request's namespace and the policies for it.
type scope struct {
	snapshot  *cluster.Snapshot
	namespace placement.Namespace
	policies  placement.Policies
}

func (e *Evaluator) scope(ctx context.Context, name string, snapshot *cluster.Snapshot) (scope, error) {
	if namespace, known := snapshot.Namespace(name); known {
		policies, _ := snapshot.PoliciesFor(name)
		return scope{snapshot, namespace, policies}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, namespaceTimeout)
	defer cancel()
	live, err := e.Namespaces.Namespace(ctx, name)
	if err != nil {
		return scope{}, &NamespaceError{Name: name, Err: err}
	}
	return scope{snapshot, live, snapshot.Policies().For(live)}, nil
}

// injectedBefore tells whether the object has a record of what berth wrote into it.
func (r *Review) injectedBefore() bool {
	return bytes.Contains(r.values[partObject+partAnnotations], []byte(placement.InjectedAnnotation))
}

// input decodes what placement is asked about.
func (r *Review) input(operation admissionv1.Operation) (placement.Input, *field.Error) {
	var input placement.Input
	var err *field.Error
	if input.DaemonSet, err = r.daemonSet(partObject, nil); err != nil || operation != admissionv1.Update {
		return input, err
	}
	input.Old, err = r.daemonSet(partOldObject, input.DaemonSet)
	// The API server writes both with one encoder, which sorts maps: templates that are equal are equal bytes.
	input.TemplateChanged = !bytes.Equal(r.values[partObject+partTemplate], r.values[partOldObject+partTemplate])
	return input, err
}
