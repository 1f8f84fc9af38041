package webhook

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"

	"berth.dev/berth/admission"
	"berth.dev/berth/cluster"
)

// Facts is what a webhook must know of the cluster.
type Facts interface {
	// Snapshot returns the facts of this moment, or nil while they are not known.
	Snapshot() *cluster.Snapshot
	// Namespaces are those that the snapshot does not have.
	admission.Namespaces
}

// endpoint is what the two webhooks have in common: the way from HTTP to a decision, and back.
type endpoint struct {
	// Version is that of this berth, for who asks which one answers.
	Version   string
	name      string
	facts     Facts
	logger    logr.Logger
	metrics   *endpointMetrics
	evaluator admission.Evaluator
}

func newEndpoint(name string, facts Facts, logger logr.Logger, evaluator admission.Evaluator) endpoint {
	evaluator.Namespaces, evaluator.Memory = facts, decodedWhole
	return endpoint{
		name: name, facts: facts, logger: logger.WithValues("webhook", name), metrics: newEndpointMetrics(name),
		evaluator: evaluator,
	}
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
		x.fail(w, e.logger, f)
		e.metrics.failed(f.result, started)
	} else {
		x.send(w, http.StatusOK)
		e.metrics.answered(&a, started)
	}
}

// serve leaves an answer in x.out, or says why it cannot. A panic is a fault of ours, like any other.
func (e *endpoint) serve(x *exchange, r *http.Request) (a admission.Answer, f *failure) {
	defer panicked(&f)
	if f := checkHeader(r); f != nil {
		return a, f
	}
	snapshot := e.facts.Snapshot()
	if snapshot == nil {
		return a, notReady()
	}
	if f := x.read(r, maxBody); f != nil {
		return a, f
	}
	a, asked, f := e.decide(r.Context(), x, snapshot)
	if f != nil {
		return a, f
	}
	e.metrics.audited(&a)
	if len(a.Denied) > 0 {
		e.logDenial(&x.review, asked, &a)
	}
	if x.review.IsProbe() {
		a.Warnings = append(a.Warnings, fmt.Sprintf("berth %s answers, webhook %s", e.Version, e.name))
	}
	x.out, x.scratch = a.AppendJSON(x.out[:0], x.scratch, &x.review)
	return a, nil
}

// decide decides on the review in x.body.
func (e *endpoint) decide(ctx context.Context, x *exchange, snapshot *cluster.Snapshot) (admission.Answer, admission.Request, *failure) {
	if x.tooLarge {
		asked, err := x.review.LocateHead(x.body)
		if err != nil {
			return admission.Answer{}, asked, bodyTooLarge(maxBody)
		}
		a, err := e.evaluator.TooLarge(ctx, asked, snapshot, maxBody)
		return a, asked, undecided(err)
	}
	if err := x.review.Locate(x.body); err != nil {
		return admission.Answer{}, admission.Request{}, badRequest(err)
	}
	asked, invalid := x.review.Request()
	if invalid != nil {
		return admission.Answer{}, asked, badRequest(invalid)
	}
	a, err := e.evaluator.Evaluate(ctx, &x.review, asked, snapshot)
	return a, asked, undecided(err)
}

// fail answers an HTTP error. Faults of ours are logged; those of clients are for debugging, for anybody can make them.
func (x *exchange) fail(w http.ResponseWriter, logger logr.Logger, f *failure) {
	uid := x.review.UID()
	switch {
	case f.stack != "":
		logger.Error(f.cause, "Request failed", "uid", uid, "stack", f.stack)
	case f.cause != nil:
		logger.Error(f.cause, "Request failed", "uid", uid)
	default:
		logger.V(1).Info("Request refused", "uid", uid, "code", f.code, "cause", f.message)
	}
	x.out = appendFailure(x.out[:0], f, uid)
	x.send(w, f.code)
}

// panicked makes a panic a fault of ours, like any other. It is to be deferred.
func panicked(f **failure) {
	if cause := recover(); cause != nil {
		*f = internalError(failedPanic, fmt.Errorf("panic: %v", cause))
		(*f).stack = string(debug.Stack())
	}
}

// logDenial writes the one line that a denial gets, without anything of the object but its name.
func (e *endpoint) logDenial(review *admission.Review, asked admission.Request, a *admission.Answer) {
	var fields []string
	for _, err := range a.Causes() {
		fields = append(fields, admission.Shorten(err.Field))
	}
	e.logger.Info("Denied", "namespace", review.Namespace(), "name", review.DisplayName(), "operation", asked.Operation,
		"user", review.Username(), "uid", review.UID(), "policies", a.Policies, "fields", fields, "reason", answerLabels[a.Result][1])
}
