package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// Facts is what a webhook must know of the cluster.
type Facts interface {
	// Snapshot returns the facts of this moment, or nil while they are not known.
	Snapshot() *cluster.Snapshot
	// Namespace asks the API server for a namespace that the snapshot does not have.
	Namespace(ctx context.Context, name string) (placement.Namespace, error)
}

// namespaceTimeout leaves the API server, which waits for 5 s, the time to hear why there is no answer.
const namespaceTimeout = 3 * time.Second

// endpoint is what the two webhooks have in common: the way from HTTP to a decision, and back.
type endpoint struct {
	facts   Facts
	logger  logr.Logger
	metrics *endpointMetrics
	// answer says what a decision means for the request.
	answer func(*placement.Decision) answer
}

func newEndpoint(name string, facts Facts, logger logr.Logger, say func(*placement.Decision) answer) endpoint {
	return endpoint{facts: facts, logger: logger.WithValues("webhook", name), metrics: newEndpointMetrics(name), answer: say}
}

// ServeHTTP answers one AdmissionReview.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	e.metrics.inFlight.Inc()
	defer e.metrics.inFlight.Dec()
	x := exchanges.Get().(*exchange)
	defer x.release()
	a, f := e.serve(x, r)
	if f != nil {
		e.fail(x, w, f)
		e.metrics.observe(f.result, started)
	} else {
		x.send(w, http.StatusOK)
		e.metrics.observe(a.result, started)
	}
}

// serve leaves an answer in x.out, or says why it cannot. A panic is a fault of ours, like any other.
func (e *endpoint) serve(x *exchange, r *http.Request) (a answer, f *failure) {
	defer func() {
		if panicked := recover(); panicked != nil {
			f = internalError(failedPanic, fmt.Errorf("panic: %v", panicked))
			f.stack = string(debug.Stack())
		}
	}()
	if f := checkHeader(r); f != nil {
		return a, f
	}
	snapshot := e.facts.Snapshot()
	if snapshot == nil {
		return a, notReady()
	}
	if f := x.read(r); f != nil {
		return a, f
	}
	if err := x.review.locate(x.body); err != nil {
		return a, badRequest(err)
	}
	asked, invalid := x.review.admission()
	if invalid != nil {
		return a, badRequest(invalid)
	}
	a, f = e.decide(r.Context(), &x.review, asked, snapshot)
	if f != nil {
		return a, f
	}
	if len(a.denied) > 0 {
		e.logDenial(&x.review, asked, &a)
	}
	x.encode(&a)
	return a, nil
}

// decide looks at the objects only where a policy is for their namespace, or where berth has written something that no policy
// may require any more.
func (e *endpoint) decide(ctx context.Context, review *review, asked admission, snapshot *cluster.Snapshot) (answer, *failure) {
	if !asked.placeable() {
		return answer{result: allowedOutOfScope}, nil
	}
	scope, f := e.scope(ctx, asked.namespace, snapshot)
	if f != nil {
		return answer{}, f
	}
	policies := scope.policies
	if policies.Len() == 0 && !review.injectedBefore() {
		return answer{result: allowedNoPolicy}, nil
	}
	input, err := review.input(asked.operation)
	if err != nil {
		return answer{}, badRequest(err)
	}
	if policies.Conditional() {
		if policies, f = review.applicable(ctx, scope); f != nil {
			return answer{}, f
		}
	}
	input.Nodes = snapshot.Nodes()
	decision := policies.Decide(input)
	a := e.answer(&decision)
	a.policies = decision.Policies
	a.warnings = decision.Warnings
	e.audit(&a, &decision)
	return a, nil
}

// scope is a request's namespace and the policies for it.
type scope struct {
	snapshot  *cluster.Snapshot
	namespace placement.Namespace
	policies  placement.Policies
}

func (e *endpoint) scope(ctx context.Context, name string, snapshot *cluster.Snapshot) (scope, *failure) {
	if namespace, known := snapshot.Namespace(name); known {
		policies, _ := snapshot.PoliciesFor(name)
		return scope{snapshot, namespace, policies}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, namespaceTimeout)
	defer cancel()
	live, err := e.facts.Namespace(ctx, name)
	switch {
	case errors.Is(err, cluster.ErrTooManyReads):
		return scope{}, unavailable(failedNamespace, fmt.Sprintf("berth does not know namespace %q yet, and %v: try again in a second", name, err))
	case err != nil:
		return scope{}, internalError(failedNamespace, fmt.Errorf("namespace %q is not in the cache, and asking for it failed: %w", name, err))
	}
	return scope{snapshot, live, snapshot.Policies().For(live)}, nil
}

// injectedBefore tells whether the object has a record of what berth wrote into it.
func (r *review) injectedBefore() bool {
	return bytes.Contains(r.values[partObject+partAnnotations], []byte(placement.InjectedAnnotation))
}

// input decodes what placement is asked about.
func (r *review) input(operation admissionv1.Operation) (placement.Input, *field.Error) {
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

// fail answers an HTTP error. Faults of ours are logged; those of clients are for debugging, for anybody can make them.
func (e *endpoint) fail(x *exchange, w http.ResponseWriter, f *failure) {
	uid, _ := x.review.text(partUID)
	switch {
	case f.stack != "":
		e.logger.Error(f.cause, "Request failed", "uid", uid, "stack", f.stack)
	case f.cause != nil:
		e.logger.Error(f.cause, "Request failed", "uid", uid)
	default:
		e.logger.V(1).Info("Request refused", "uid", uid, "code", f.code, "cause", f.message)
	}
	x.out = appendFailure(x.out[:0], f, uid)
	x.send(w, f.code)
}

// logDenial writes the one line that a denial gets, without anything of the object but its name.
func (e *endpoint) logDenial(review *review, asked admission, a *answer) {
	user, _ := review.text(partUsername)
	uid, _ := review.text(partUID)
	var fields []string
	for _, err := range a.denied[:min(len(a.denied), maxCauses)] {
		fields = append(fields, err.Field)
	}
	e.logger.Info("Denied", "namespace", asked.namespace, "name", review.displayName(), "operation", asked.operation,
		"user", user, "uid", uid, "policies", a.policies, "fields", fields, "reason", resultLabels[a.result][1])
}
