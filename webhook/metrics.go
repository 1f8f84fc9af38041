package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"berth.dev/berth/admission"
)

var (
	requestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "berth_admission_requests_total",
		Help: "Admission requests answered, by webhook, verdict and the reason for it.",
	}, []string{"webhook", "verdict", "reason"})
	auditedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "berth_admission_audited_total",
		Help: "Admission requests that policies in mode Audit would have patched or denied, by webhook and verdict.",
	}, []string{"webhook", "verdict"})
	durationSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "berth_admission_duration_seconds",
		Help:    "Time from a request's header to its answer, by webhook.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"webhook"})
	inFlight = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "berth_admission_in_flight",
		Help: "Admission requests being answered, by webhook.",
	}, []string{"webhook"})
)

func init() {
	metrics.Registry.MustRegister(requestsTotal, auditedTotal, durationSeconds, inFlight)
}

// answerLabels has the labels verdict and reason of what a request that was decided is counted as.
var answerLabels = [...][2]string{
	admission.AllowedNoPolicy:   {"allowed", "no_policy"},
	admission.AllowedOutOfScope: {"allowed", "out_of_scope"},
	admission.AllowedCompliant:  {"allowed", "compliant"},
	admission.AllowedLeftover:   {"allowed", "leftover"},
	admission.Patched:           {"patched", "required_labels"},
	admission.DeniedViolation:   {"denied", "violation"},
	admission.DeniedLimit:       {"denied", "limit"},
	admission.AllowedLimit:      {"allowed", "limit"},
	admission.DeniedLeftover:    {"denied", "leftover"},
}

// failureResult is why a request could not be decided, as the metrics count it.
type failureResult int

// Why a request could not be decided.
const (
	failedMethod failureResult = iota
	failedMediaType
	failedSize
	failedBody
	failedNotReady
	failedOverloaded
	failedNamespace
	failedPanic
)

// failureVerdict is the label verdict of every failure.
const failureVerdict = "error"

// failureReasons has the label reason of each failure.
var failureReasons = [...]string{
	failedMethod:     "method_not_allowed",
	failedMediaType:  "unsupported_media_type",
	failedSize:       "too_large",
	failedBody:       "bad_request",
	failedNotReady:   "not_ready",
	failedOverloaded: "overloaded",
	failedNamespace:  "namespace_unknown",
	failedPanic:      "panic",
}

// endpointMetrics is the metrics of one webhook. Its labels are resolved once, so that counting costs no look-up.
type endpointMetrics struct {
	answers       [len(answerLabels)]prometheus.Counter
	failures      [len(failureReasons)]prometheus.Counter
	auditedPatch  prometheus.Counter
	auditedDenial prometheus.Counter
	duration      prometheus.Observer
	inFlight      prometheus.Gauge
}

func newEndpointMetrics(webhook string) *endpointMetrics {
	m := &endpointMetrics{
		auditedPatch:  auditedTotal.WithLabelValues(webhook, answerLabels[admission.Patched][0]),
		auditedDenial: auditedTotal.WithLabelValues(webhook, answerLabels[admission.DeniedViolation][0]),
		duration:      durationSeconds.WithLabelValues(webhook),
		inFlight:      inFlight.WithLabelValues(webhook),
	}
	for result, labels := range answerLabels {
		m.answers[result] = requestsTotal.WithLabelValues(webhook, labels[0], labels[1])
	}
	for result, reason := range failureReasons {
		m.failures[result] = requestsTotal.WithLabelValues(webhook, failureVerdict, reason)
	}
	return m
}

func (m *endpointMetrics) answered(a *admission.Answer, started time.Time) {
	m.answers[a.Result].Inc()
	m.duration.Observe(time.Since(started).Seconds())
}

func (m *endpointMetrics) failed(f failureResult, started time.Time) {
	m.failures[f].Inc()
	m.duration.Observe(time.Since(started).Seconds())
}

// audited counts what policies in mode Audit would have done.
func (m *endpointMetrics) audited(a *admission.Answer) {
	if a.AuditedDenial {
		m.auditedDenial.Inc()
	}
	if a.AuditedPatch {
		m.auditedPatch.Inc()
	}
}
