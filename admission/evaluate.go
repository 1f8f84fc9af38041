package admission

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation"
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
	// ExcludedPriorityClasses are those of DaemonSets that the webhook configurations keep from berth.
	ExcludedPriorityClasses []string
	// Answer says what a decision means for a request: Mutation or Validation.
	Answer func(*placement.Decision) Answer
}

// Evaluate answers a review of which Locate and Request have no complaints, by the facts of the snapshot. It looks at the
// objects only where a policy is for their namespace, or where berth has written something that no policy may require any more.
//
// The error is a *field.Error where the objects are malformed, ErrOverloaded or a *NamespaceError. What is beyond the limits is
// no error, for failurePolicy Ignore would let that through: it violates the policies.
func (e *Evaluator) Evaluate(ctx context.Context, review *Review, asked Request, snapshot *cluster.Snapshot) (Answer, error) {
	if !asked.placeable() || review.oldIsBeingDeleted() {
		return Answer{Result: AllowedOutOfScope}, nil
	}
	scope, err := e.scope(ctx, asked.Namespace, snapshot)
	if err != nil {
		return Answer{}, err
	}
	if scope.policies.Len() == 0 && !review.hasReceipt() {
		return Answer{Result: AllowedNoPolicy}, nil
	}
	if asked.Operation == admissionv1.Update && !scope.policies.ActsWithoutChange() && !scope.policies.Conditional() && review.sameForPlacement() {
		return Answer{Result: AllowedCompliant}, nil
	}
	question, invalid := review.question(asked.Operation)
	if invalid != nil {
		return e.invalid(review, scope, invalid)
	}
	question.OldExcluded = e.excludesOld(review)
	q := &review.evaluated
	*q = cluster.Question{Question: question, Policies: scope.policies}
	var met *requestConditions
	if scope.policies.Conditional() {
		met = e.conditions(ctx, review, scope)
		defer met.release()
		q.Met = met.met
	}
	decision := snapshot.Evaluate(q)
	if met != nil && met.err != nil {
		return Answer{}, met.err
	}
	return e.answer(&decision), nil
}

// invalid answers a review whose objects cannot be decoded: what is beyond the limits violates the policies, and all else is an
// error.
func (e *Evaluator) invalid(review *Review, s scope, err *field.Error) (Answer, error) {
	if !exceedsLimit(err) {
		return Answer{}, err
	}
	decision := review.tooLarge(s.policies, err)
	return e.limited(&decision), nil
}

// TooLarge answers a review that is cut short, since the whole is larger than limit: nothing is known of its objects, and so
// it violates every policy for the namespace.
func (e *Evaluator) TooLarge(ctx context.Context, asked Request, snapshot *cluster.Snapshot, limit int64) (Answer, error) {
	if !asked.placeable() {
		return Answer{Result: AllowedOutOfScope}, nil
	}
	scope, err := e.scope(ctx, asked.Namespace, snapshot)
	if err != nil {
		return Answer{}, err
	}
	if scope.policies.Len() == 0 {
		return Answer{Result: AllowedNoPolicy}, nil
	}
	decision := scope.policies.TooLarge(nil, nil, field.Forbidden(field.NewPath("spec"), fmt.Sprintf(
		"the DaemonSet and what is stored of it are larger than %d bytes in a review: make it smaller", limit)))
	return e.limited(&decision), nil
}

// limited is the answer to what is beyond the limits.
func (e *Evaluator) limited(decision *placement.Decision) Answer {
	a := e.answer(decision)
	if len(a.Denied) > 0 {
		a.Result = DeniedLimit
	} else {
		a.Result = AllowedLimit
	}
	return a
}

// answer says what a decision means for the request.
func (e *Evaluator) answer(decision *placement.Decision) Answer {
	a := e.Answer(decision)
	a.Policies = decision.Policies
	a.Warnings = append(a.Warnings, decision.Warnings...)
	a.audit(decision)
	return a
}

// excludesOld tells whether the webhook configurations keep the stored object from berth, but not the new one. The system tier
// is sent both.
func (e *Evaluator) excludesOld(review *Review) bool {
	excludes := func(object part) bool {
		class, _ := review.text(object + partPriorityClass)
		return class != "" && slices.Contains(e.ExcludedPriorityClasses, class)
	}
	return excludes(partOldObject) && !excludes(partObject)
}

// scope is a request's namespace and the policies for it.
type scope struct {
	namespace placement.Namespace
	policies  placement.InNamespace
}

func (e *Evaluator) scope(ctx context.Context, name string, snapshot *cluster.Snapshot) (scope, error) {
	if namespace, known := snapshot.Namespace(name); known {
		policies, _ := snapshot.PoliciesFor(name)
		return scope{namespace, policies}, nil
	}
	// Nobody is asked for what cannot be.
	if len(name) > validation.DNS1123LabelMaxLength || len(validation.IsDNS1123Label(name)) > 0 {
		return scope{}, field.Invalid(paths[partNamespace], shorten(name, maxShown), "must be the name of a namespace")
	}
	ctx, cancel := context.WithTimeout(ctx, namespaceTimeout)
	defer cancel()
	live, err := e.Namespaces.Namespace(ctx, name)
	if err != nil {
		return scope{}, &NamespaceError{Name: name, Err: err}
	}
	return scope{live, snapshot.Policies().InNamespace(live)}, nil
}

// oldIsBeingDeleted tells whether the stored object is being deleted: that must be let go. The new one is not asked, for the API server
// drops what a client writes into its deletionTimestamp only after mutating admission.
func (r *Review) oldIsBeingDeleted() bool { return !r.isAbsent(partOldObject + partDeletionTimestamp) }

// hasReceipt tells whether the object, or the stored one, has a receipt of what berth wrote into it.
func (r *Review) hasReceipt() bool {
	receipt := []byte(placement.InjectedAnnotation)
	return bytes.Contains(r.values[partObject+partAnnotations], receipt) || bytes.Contains(r.values[partOldObject+partAnnotations], receipt)
}

// sameForPlacement tells whether an update leaves all that a decision can depend on as it is stored.
func (r *Review) sameForPlacement() bool {
	for _, p := range []part{partTemplate, partObjectLabels, partAnnotations, partSelector} {
		if !bytes.Equal(r.values[partObject+p], r.values[partOldObject+p]) {
			return false
		}
	}
	return true
}

// question decodes what placement is asked about.
func (r *Review) question(operation admissionv1.Operation) (placement.Question, *field.Error) {
	var q placement.Question
	var err *field.Error
	if q.New, err = r.object(partObject, nil); err != nil {
		return q, err
	}
	if operation == admissionv1.Update {
		if q.Old, err = r.object(partOldObject, q.New); err != nil {
			return q, err
		}
		q.RestChanged, q.RestDigests = r.restChanged(), r.restDigests
	}
	if !r.hasReceipt() {
		return q, nil
	}
	if updated := r.lastApplied[0]; updated != nil && !bytes.Equal(updated, r.lastApplied[1]) {
		q.Stated = sync.OnceValue(func() *placement.Template { return stated(updated) })
	}
	applied := sync.OnceValue(r.applied)
	q.Applied = func(unit placement.Unit) bool { return applied()[unit] }
	return q, nil
}
