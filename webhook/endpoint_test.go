package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) logger() logr.Logger { return l.at(0) }

func (l *lines) at(verbosity int) logr.Logger {
	return funcr.New(func(_, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.text = append(l.text, args)
	}, funcr.Options{Verbosity: verbosity})
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

func (l *lines) contain(text string) bool { return strings.Contains(strings.Join(l.all(), "\n"), text) }

// brokenFacts panic when they are asked for a namespace.
type brokenFacts struct{ *fixedFacts }

func (brokenFacts) Namespace(context.Context, string) (placement.Namespace, error) {
	return *(*placement.Namespace)(nil), nil
}

func status(t *testing.T, r reply) metav1.Status {
	t.Helper()
	var s metav1.Status
	if err := json.Unmarshal(r.body, &s); err != nil {
		t.Fatalf("%d %s: %v", r.code, r.body, err)
	}
	return s
}

func failureStatus(code int32, reason metav1.StatusReason, message string) metav1.Status {
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: code, Reason: reason, Message: message,
		Details: &metav1.StatusDetails{UID: types.UID(testUID)},
	}
}

func TestNotReadyIs503WithRetryAfterAndClosesTheConnection(t *testing.T) {
	facts := &switchedFacts{fixedFacts: newFacts(t, ownLabel)}
	site := serve(t, facts, logr.Discard())
	got := site.post(t, MutatePath, createReview(tutorial))
	want := failureStatus(503, "ServiceUnavailable", "berth does not know the cluster's policies, namespaces and nodes yet: try again in a second")
	want.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	if diff := cmp.Diff(want, status(t, got)); diff != "" || got.code != 503 {
		t.Errorf("%d (-want +got):\n%s", got.code, diff)
	}
	if got.header.Get("Retry-After") != "1" || !got.closed {
		t.Errorf("header %v, connection closed: %v", got.header, got.closed)
	}
	facts.ready.Store(true)
	if got := site.post(t, MutatePath, createReview(tutorial)); got.code != http.StatusOK {
		t.Errorf("ready, and still %d: %s", got.code, got.body)
	}
}

// switchedFacts are not known until they are ready.
type switchedFacts struct {
	*fixedFacts
	ready atomic.Bool
}

func (f *switchedFacts) Snapshot() *cluster.Snapshot {
	if !f.ready.Load() {
		return nil
	}
	return f.snapshot
}

func TestANamespaceThatCannotBeLookedUpIs500SoThatTheFailurePolicyDecides(t *testing.T) {
	var logged lines
	site := serve(t, newFacts(t, ownLabel), logged.logger())
	got := site.post(t, MutatePath, replaceOnce(t, createReview(tutorial), `"namespace":"default","op`, `"namespace":"gone","op`))
	want := failureStatus(500, "InternalError",
		`berth: namespace "gone" is not in the cache, and asking for it failed: namespaces "gone" not found`)
	if diff := cmp.Diff(want, status(t, got)); diff != "" || got.code != 500 {
		t.Errorf("%d (-want +got):\n%s", got.code, diff)
	}
	if !strings.Contains(strings.Join(logged.all(), "\n"), `"Request failed"`) {
		t.Errorf("logged %v", logged.all())
	}
}

// busyFacts have read too many namespaces.
type busyFacts struct{ *fixedFacts }

func (busyFacts) Namespace(context.Context, string) (placement.Namespace, error) {
	return placement.Namespace{}, cluster.ErrTooManyReads
}

func TestANamespaceThatItIsTooEarlyToLookUpIsForTheAPIServerToAskAboutAgain(t *testing.T) {
	site := serve(t, busyFacts{newFacts(t, ownLabel)}, logr.Discard())
	got := site.post(t, MutatePath, replaceOnce(t, createReview(tutorial), `"namespace":"default","op`, `"namespace":"new","op`))
	want := failureStatus(503, "ServiceUnavailable",
		`berth does not know namespace "new" yet, and too many unknown namespaces are asked for at a time: try again in a second`)
	want.Details.RetryAfterSeconds = 1
	if diff := cmp.Diff(want, status(t, got)); diff != "" || got.code != 503 || got.header.Get("Retry-After") != "1" {
		t.Errorf("%d, Retry-After %q (-want +got):\n%s", got.code, got.header.Get("Retry-After"), diff)
	}
}

func TestAPanicIs500LoggedWithItsStackAndCounted(t *testing.T) {
	var logged lines
	site := serve(t, brokenFacts{newFacts(t, ownLabel)}, logged.logger())
	before := counted(t, "berth_admission_requests_total", "reason", "panic")
	young := replaceOnce(t, createReview(tutorial), `"namespace":"default","op`, `"namespace":"young","op`)
	got := site.post(t, MutatePath, young)
	want := failureStatus(500, "InternalError", "berth: panic: runtime error: invalid memory address or nil pointer dereference")
	if diff := cmp.Diff(want, status(t, got)); diff != "" || got.code != 500 {
		t.Errorf("%d (-want +got):\n%s", got.code, diff)
	}
	if text := strings.Join(logged.all(), "\n"); !strings.Contains(text, "brokenFacts") || strings.Contains(text, "example-container") {
		t.Errorf("logged %s", text)
	}
	if now := counted(t, "berth_admission_requests_total", "reason", "panic"); now != before+1 {
		t.Errorf("counted %v panics, want 1", now-before)
	}
	if got := site.post(t, MutatePath, createReview(tutorial)); got.code != http.StatusOK {
		t.Errorf("after the panic: %d %s", got.code, got.body)
	}
}

func TestADenialIsOneLineWithoutTheBodyAndAnAllowIsNone(t *testing.T) {
	var logged lines
	site := serve(t, newFacts(t, ownLabel), logged.logger())
	quiet := len(logged.all())
	site.ask(t, MutatePath, createReview(tutorial))
	site.ask(t, MutatePath, createReview(placed))
	site.ask(t, MutatePath, createReview(replaceOnce(t, tutorial, `"containers":`, `"nodeName":"n-1","containers":`)))
	want := []string{`"level"=0 "msg"="Denied" "webhook"="mutate" "namespace"="default" "name"="example-daemonset" "operation"="CREATE" ` +
		`"user"="alice" "uid"="` + testUID + `" "policies"=["own-label"] "fields"=["spec.template.spec.nodeName"] "reason"="violation"`}
	if diff := cmp.Diff(want, logged.all()[quiet:]); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}

func TestEveryAnswerIsCountedByVerdictAndReason(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	count := func() map[string]float64 {
		counts := map[string]float64{"duration": counted(t, "berth_admission_duration_seconds", "webhook", "mutate")}
		for _, reason := range []string{"no_policy", "out_of_scope", "compliant", "required_labels", "violation", "bad_request"} {
			counts[reason] = counted(t, "berth_admission_requests_total", "reason", reason)
		}
		return counts
	}
	before := count()
	for _, body := range []string{
		createReview(tutorial), createReview(placed), reviewOf("DELETE", "null", tutorial), "{}",
		replaceOnce(t, createReview(tutorial), `"namespace":"default","op`, `"namespace":"other","op`),
		createReview(replaceOnce(t, tutorial, `"containers":`, `"nodeName":"n-1","containers":`)),
	} {
		site.post(t, MutatePath, body)
	}
	after := count()
	for key, was := range before {
		after[key] -= was
	}
	want := map[string]float64{
		"duration": 6, "no_policy": 1, "out_of_scope": 1, "compliant": 1, "required_labels": 1, "violation": 1, "bad_request": 1,
	}
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if flying := counted(t, "berth_admission_in_flight", "webhook", "mutate"); flying != 0 {
		t.Errorf("%v requests are still in flight", flying)
	}
}

func TestAnswersDoNotMixUpUnderConcurrency(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	site.client.Transport.(*http.Transport).MaxConnsPerHost = 8
	bodies := []string{createReview(tutorial), createReview(placed), updateReview(placed, tutorial), "{", string(shippedReview(2, true))}
	var wants [][]byte
	for _, body := range bodies {
		wants = append(wants, site.post(t, MutatePath, body).body)
	}
	var senders sync.WaitGroup
	for sender := range 8 {
		senders.Go(func() {
			for i := range 200 {
				which := (i + sender) % len(bodies)
				if got := site.post(t, MutatePath, bodies[which]).body; !bytes.Equal(got, wants[which]) {
					t.Errorf("review %d: want %s\ngot %s", which, wants[which], got)
					return
				}
			}
		})
	}
	senders.Wait()
}

func TestABodyThatDoesNotArriveIsA408(t *testing.T) {
	var x exchange
	defer x.release()
	f := x.read(&http.Request{ContentLength: 10, Body: lateBody{}}, maxBody)
	if f == nil || f.code != http.StatusRequestTimeout || f.result != failedBody {
		t.Errorf("got %+v", f)
	}
}

// lateBody is a body whose time is up.
type lateBody struct{}

func (lateBody) Read([]byte) (int, error) {
	return 0, fmt.Errorf("read tcp: %w", os.ErrDeadlineExceeded)
}

func (lateBody) Close() error { return nil }
