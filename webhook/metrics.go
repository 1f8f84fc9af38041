package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
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

// result is how a request ended, as the metrics count it.
type result int

// The results of requests.
const (
	allowedNoPolicy result = iota
	allowedOutOfScope
	allowedCompliant
	patched
	deniedViolation
	deniedLeftover
	failedMethod
	failedMediaType
	failedSize
	failedBody
	failedNotReady
	failedOverloaded
	failedNamespace
	failedPanic
	resultCount
)

// resultLabels has the labels verdict and reason of each result.
var resultLabels = [resultCount][2]string{
	allowedNoPolicy:   {"allowed", "no_policy"},
	allowedOutOfScope: {"allowed", "out_of_scope"},
	allowedCompliant:  {"allowed", "compliant"},
	patched:           {"patched", "required_labels"},
	deniedViolation:   {"denied", "violation"},
	deniedLeftover:    {"denied", "leftover"},
	failedMethod:      {"error", "method_not_allowed"},
	failedMediaType:   {"error", "unsupported_media_type"},
	failedSize:        {"error", "too_large"},
	failedBody:        {"error", "bad_request"},
	failedNotReady:    {"error", "not_ready"},
	failedOverloaded:  {"error", "overloaded"},
	failedNamespace:   {"error", "namespace_unknown"},
	failedPanic:       {"error", "panic"},
}

// endpointMetrics is the metrics of one webhook. Its labels are resolved once, so that counting costs no look-up.
type endpointMetrics struct {
	requests      [resultCount]prometheus.Counter
	auditedPatch  prometheus.Counter
	auditedDenial prometheus.Counter
	duration      prometheus.Observer
	inFlight      prometheus.Gauge
}

func newEndpointMetrics(webhook string) *endpointMetrics {
	m := &endpointMetrics{
		auditedPatch:  auditedTotal.WithLabelValues(webhook, resultLabels[patched][0]),
		auditedDenial: auditedTotal.WithLabelValues(webhook, resultLabels[deniedViolation][0]),
		duration:      durationSeconds.WithLabelValues(webhook),
		inFlight:      inFlight.WithLabelValues(webhook),
	}
	for r, labels := range resultLabels {
		m.requests[r] = requestsTotal.WithLabelValues(webhook, labels[0], labels[1])
	}
	return m
}

func (m *endpointMetrics) observe(r result, started time.Time) {
	m.requests[r].Inc()
	m.duration.Observe(time.Since(started).Seconds())
}
