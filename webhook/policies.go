package webhook

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"

	"berth.dev/berth/admission"
)

// ValidatePolicyPath is where a PolicyValidator is served.
const ValidatePolicyPath = "/validate-berth-dev-v1alpha1-placementpolicy"

// PolicyValidator denies PlacementPolicies that do not compile, where they are written. Their webhook has failurePolicy
// Ignore: one that gets by has its status, and goes the way of its failurePolicy.
type PolicyValidator struct {
	logger  logr.Logger
	metrics *endpointMetrics
	// few are taken at a time, and one of them is decoded and compiled: that costs more than any other request, and policies are
	// seldom written.
	few, one chan struct{}
}

// NewPolicyValidator returns a PolicyValidator that logs its denials.
func NewPolicyValidator(logger logr.Logger) *PolicyValidator {
	return &PolicyValidator{
		logger: logger.WithValues("webhook", "policies"), metrics: newEndpointMetrics("policies"),
		few: make(chan struct{}, fewPolicies), one: make(chan struct{}, 1),
	}
}

const (
	// maxPolicyReview is far more than two policies of the size that the schema allows.
	maxPolicyReview = 4 << 20
	// fewPolicies is how many reviews are taken at a time: those that wait hold half of maxBodies at most.
	fewPolicies = 4
)

// ServeHTTP answers one AdmissionReview.
func (v *PolicyValidator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	v.metrics.inFlight.Inc()
	defer v.metrics.inFlight.Dec()
	x := exchanges.Get().(*exchange)
	defer x.release()
	answer, f := v.serve(x, r)
	if f != nil {
		x.fail(w, v.logger, f)
		v.metrics.failed(f.result, started)
		return
	}
	result := admission.AllowedCompliant
	if !answer.Response.Allowed {
		result = admission.DeniedViolation
		v.logger.Info("Denied", "uid", answer.Response.UID, "message", admission.Shorten(answer.Response.Result.Message))
	}
	x.out, _ = json.Marshal(answer) // a review holds nothing that cannot be encoded
	x.send(w, http.StatusOK)
	v.metrics.answered(&admission.Answer{Result: result}, started)
}

// serve returns an answer, or says why there is none. A panic is a fault of ours, like any other.
func (v *PolicyValidator) serve(x *exchange, r *http.Request) (answer *admissionv1.AdmissionReview, f *failure) {
	defer panicked(&f)
	if f := checkHeader(r); f != nil {
		return nil, f
	}
	select {
	case v.few <- struct{}{}:
		defer func() { <-v.few }()
	default:
		return nil, overloaded()
	}
	if f := x.read(r, maxPolicyReview); f != nil {
		return nil, f
	}
	if x.tooLarge {
		return nil, bodyTooLarge(maxPolicyReview)
	}
	select {
	case v.one <- struct{}{}:
		defer func() { <-v.one }()
	case <-r.Context().Done():
		return nil, overloaded()
	}
	size := admission.DecodedSize(x.body)
	if !decodedWhole.Take(size) {
		return nil, overloaded()
	}
	defer decodedWhole.Give(size)
	answer, err := admission.AnswerPolicy(x.body)
	if err != nil {
		return nil, badRequest(err)
	}
	return answer, nil
}
