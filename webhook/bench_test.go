package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typed "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"berth.dev/berth/admission"
)

// benchReviews are the reviews of the benchmarks.
var benchReviews = []struct {
	name  string
	bytes int
	body  func() []byte
}{
	{"4KB", 4_900, func() []byte { return shippedReview(0, false) }},
	{"20KB", 20_800, func() []byte { return shippedReview(2, true) }},
	{"20KB-receipt", 21_400, func() []byte { return placedReview(2) }},
	{"1MB", 1_000_000, func() []byte { return shippedReview(172, true) }},
}

// typedRoundTrip is what berth is measured against: controller-runtime's defaulter, which decodes the whole DaemonSet, sets
// the same nodeSelector, encodes it and compares the two documents.
type typedRoundTrip struct{}

// Default puts the DaemonSet's own labels into its nodeSelector.
func (typedRoundTrip) Default(_ context.Context, ds *appsv1.DaemonSet) error {
	if ds.Spec.Template.Spec.NodeSelector == nil {
		ds.Spec.Template.Spec.NodeSelector = map[string]string{}
	}
	maps.Copy(ds.Spec.Template.Spec.NodeSelector, ds.Spec.Selector.MatchLabels)
	return nil
}

// response is an http.ResponseWriter that keeps what it is given, without an allocation.
type response struct {
	header http.Header
	body   []byte
	code   int
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(code int) { w.code = code }

func (w *response) Write(body []byte) (int, error) {
	w.body = append(w.body[:0], body...)
	return len(body), nil
}

// decided has a review answered by a Mutator without a server.
func decided(tb testing.TB, facts Facts, body []byte) *admissionv1.AdmissionResponse {
	tb.Helper()
	request := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, MutatePath, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	w := &response{header: http.Header{}}
	NewMutator(facts, logr.Discard()).ServeHTTP(w, request)
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.body, &review); err != nil || review.Response == nil {
		tb.Fatalf("%d %s", w.code, w.body)
	}
	return review.Response
}

func BenchmarkMutate(b *testing.B) {
	scheme := runtime.NewScheme()
	if err := appsv1.AddToScheme(scheme); err != nil {
		b.Fatal(err)
	}
	handlers := []struct {
		name    string
		handler http.Handler
	}{
		{"berth", NewMutator(newFacts(b, ownLabel), logr.Discard())},
		{"typed", typed.WithDefaulter(scheme, typedRoundTrip{})},
	}
	for _, review := range benchReviews {
		body := review.body()
		for _, h := range handlers {
			b.Run(review.name+"/"+h.name, func(b *testing.B) {
				reader := bytes.NewReader(body)
				request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, MutatePath, http.NoBody)
				request.Header.Set("Content-Type", "application/json")
				request.ContentLength = int64(len(body))
				request.Body = nopCloser{reader}
				w := &response{header: http.Header{}}
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				started := cpuTime(b)
				for b.Loop() {
					reader.Reset(body)
					h.handler.ServeHTTP(w, request)
				}
				b.ReportMetric(float64(cpuTime(b)-started)/float64(b.N), "cpu-ns/op")
				// The typed defaulter has nothing to add to what is placed already, and berth a receipt.
				if !bytes.Contains(w.body, []byte(`"allowed":true`)) || h.name == "berth" && !bytes.Contains(w.body, []byte(`"JSONPatch"`)) {
					b.Fatalf("no patch: %d %.300s", w.code, w.body)
				}
			})
		}
	}
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

// cpuTime is the CPU time of this process so far, which other processes on the machine do not spoil as they do the clock.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkLocate(b *testing.B) {
	for _, r := range benchReviews {
		b.Run(r.name, func(b *testing.B) {
			body := r.body()
			var review admission.Review
			b.SetBytes(int64(len(body)))
			started := cpuTime(b)
			for b.Loop() {
				if err := review.Locate(body); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-started)/float64(b.N), "cpu-ns/op")
		})
	}
}
