package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tally counts what became of the reviews of a flood.
type tally struct{ answered, refused, overloaded, broken atomic.Int64 }

func (c *benchClient) flood(ctx context.Context, senders, rounds int) *tally {
	count := new(tally)
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for range rounds {
				switch code, _, err := c.post(ctx); {
				case err != nil:
					count.broken.Add(1)
				case code == http.StatusOK:
					count.answered.Add(1)
				case code == http.StatusServiceUnavailable:
					count.overloaded.Add(1)
				default:
					count.refused.Add(1)
				}
			}
		})
	}
	all.Wait()
	return count
}

// numbered repeats the format, with a number each, up to the size.
func numbered(format string, size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// withSelector is the review of the tutorial's DaemonSet with more in spec.selector.matchLabels.
func withSelector(tb testing.TB, more string) string {
	tb.Helper()
	return createReview(replaceOnce(tb, tutorial, `"matchLabels":{"app":"example"`, `"matchLabels":{"app":"example"`+more))
}

// The chart gives berth 256 MiB, and the server here has no informers: 32 MiB is for those.
func TestAFloodOfLargeReviewsHasItsLimitAndOrdinaryOnesAreAnswered(t *testing.T) {
	const senders, rounds, size, limitMiB = 100, 3, 7 << 20, 256 - 32
	floods := map[string]string{
		"of real DaemonSets": string(shippedReview(172*7, true)),
		"of bad labels":      withSelector(t, numbered(`,"k%07d":"-"`, size)),
	}
	for name, body := range floods {
		t.Run(name, func(t *testing.T) {
			server := startBenchServer(t, "berth")
			large := server.connect(t, []byte(body), senders)
			ordinary := server.connect(t, shippedReview(2, true), connections)
			flooded := make(chan *tally, 1)
			go func() { flooded <- large.flood(t.Context(), senders, rounds) }()
			var count *tally
			var answered int
			for count == nil {
				select {
				case count = <-flooded:
				default:
					if err := ordinary.sendOne(t.Context()); err != nil {
						t.Errorf("an ordinary review: %v", err)
					}
					answered++
				}
			}
			peak := server.state(t).PeakRSS >> 10
			t.Logf("ordinary: %d; large: %d answered, %d refused, %d overloaded, %d broken; peak RSS %d MiB", answered,
				count.answered.Load(), count.refused.Load(), count.overloaded.Load(), count.broken.Load(), peak)
			if count.answered.Load()+count.refused.Load() == 0 || count.overloaded.Load() == 0 || peak > limitMiB {
				t.Errorf("some of the large reviews should be decided and some put off, within %d MiB", limitMiB)
			}
		})
	}
}

// idleBudget fails the test when a request has not given back what it took.
func idleBudget(t *testing.T) {
	t.Helper()
	eventually(t, "all memory for large bodies is given back", func() bool { return bodies.left.Load() == maxBodies })
}

func TestWithoutMemoryLeftAReviewIs503(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	idleBudget(t)
	before := counted(t, "berth_admission_requests_total", "reason", "overloaded")
	if !bodies.Take(maxBodies) {
		t.Fatal("there is not all of the budget")
	}
	got := site.post(t, MutatePath, string(shippedReview(172, true)))
	want := failureStatus(503, "ServiceUnavailable", "berth has too many requests at a time: try again in a second")
	want.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	if diff := cmp.Diff(want, status(t, got)); diff != "" || got.code != 503 || got.header.Get("Retry-After") != "1" || !got.closed {
		t.Errorf("%d, header %v, closed: %v (-want +got):\n%s", got.code, got.header, got.closed, diff)
	}
	if now := counted(t, "berth_admission_requests_total", "reason", "overloaded"); now != before+1 {
		t.Errorf("counted %v overloaded, want 1", now-before)
	}
	bodies.Give(maxBodies)
	site.ask(t, MutatePath, string(shippedReview(172, true)))
	idleBudget(t)
}

// partBody is a body that gets lost on the way.
type partBody struct {
	io.Reader
	end func() error
}

func (b partBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.end()
	}
	return n, err
}

func (partBody) Close() error { return nil }

func TestALargeBodyGivesItsMemoryBackHoweverItEnds(t *testing.T) {
	idleBudget(t)
	const length = 3 << 20
	ends := map[string]func() error{
		"as it should": func() error { return io.EOF },
		"too late":     func() error { return os.ErrDeadlineExceeded },
		"broken":       func() error { return errors.New("connection reset") },
		"in a panic":   func() error { return *(*error)(nil) },
	}
	mutator := NewMutator(newFacts(t, ownLabel), logr.Discard())
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			var most int64
			body := partBody{Reader: strings.NewReader(strings.Repeat(" ", length)), end: func() error {
				most = maxBodies - bodies.left.Load()
				return end()
			}}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, MutatePath, body)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			request.ContentLength = length
			mutator.ServeHTTP(&response{header: http.Header{}}, request)
			if most < length || most > 2*length {
				t.Errorf("it had taken %d bytes", most)
			}
			if left := bodies.left.Load(); left != maxBodies {
				t.Errorf("%d bytes are still taken", maxBodies-left)
			}
		})
	}
}

func TestABodyReservesWhatItHasSentAndNotWhatItClaims(t *testing.T) {
	for sent, want := range map[int]int64{1: firstRead, smallBody - 1: smallBody, smallBody + 1: 2 * smallBody, 1 << 20: 2 << 20} {
		var x exchange
		body := partBody{Reader: strings.NewReader(strings.Repeat(" ", sent)), end: func() error { return os.ErrDeadlineExceeded }}
		f := x.read(&http.Request{ContentLength: maxBody, Body: body}, maxBody)
		if f == nil || f.code != http.StatusRequestTimeout || x.conn.held.Load() != want || int64(cap(x.body)) > max(want, smallBody) {
			t.Errorf("%d bytes sent: %+v, %d reserved of %d", sent, f, x.conn.held.Load(), cap(x.body))
		}
		x.release()
	}
	idleBudget(t)
}

func TestTheLargestBodyHasRoomWhetherItsLengthIsKnownOrNot(t *testing.T) {
	idleBudget(t)
	for _, length := range []int64{maxBody, -1} {
		var x exchange
		f := x.read(&http.Request{ContentLength: length, Body: io.NopCloser(strings.NewReader(strings.Repeat(" ", maxBody)))}, maxBody)
		if f != nil || len(x.body) != maxBody {
			t.Errorf("with length %d: %+v after %d bytes", length, f, len(x.body))
		}
		x.release()
	}
}

func TestWhatNoDaemonSetHasIsDeniedBeforeItIsDecoded(t *testing.T) {
	const maxListed = 10_000
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	terms := func(count int) string {
		return createReview(replaceOnce(t, tutorial, `"containers":`, `"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":`+
			`{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["n"`+strings.Repeat(`,"n"`, count)+`]}]}]}}},"containers":`))
	}
	annotations := replaceOnce(t, tutorial, `"namespace":"default"`, `"namespace":"default","annotations":{"a":""`+numbered(`,"k%07d":",,"`, 16*1100)+`}`)
	tests := map[string]struct {
		body string
		want string
	}{
		"labels in the selector": {withSelector(t, numbered(`,"k%07d":"v"`, 15*1100)), "spec.selector: Too many: 1101: must have at most 1000 items"},
		"annotations":            {createReview(annotations), "metadata.annotations: Too many: 1001: must have at most 1000 items"},
		"names of nodes":         {terms(maxListed), "nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution: Too many"},
	}
	for name, test := range tests {
		for _, path := range []string{MutatePath, ValidatePath, BestEffortValidatePath} {
			got := site.ask(t, path, test.body)
			if got.Allowed || got.Result.Code != http.StatusUnprocessableEntity || !strings.Contains(got.Result.Message, test.want) {
				t.Errorf("%s %s: %+v", path, name, got.Result)
			}
		}
	}
	site.ask(t, MutatePath, terms(5000))
}

func TestADenialNamesAHundredCausesAtMost(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	got := site.ask(t, MutatePath, withSelector(t, numbered(`,"k%07d":"-"`, 14*500)))
	// As many of them as fit into 64 KiB, twice each.
	if causes := len(got.Result.Details.Causes); got.Allowed || causes < 50 || causes > 100 {
		t.Errorf("allowed: %v, with %d causes", got.Allowed, causes)
	}
}

// trickle sends bytes one after the other, and returns when the server has hung up.
func trickle(conn io.ReadWriter, start string) {
	hungUp := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, conn)
		close(hungUp)
	}()
	_, err := io.WriteString(conn, start)
	for err == nil {
		select {
		case <-hungUp:
			return
		case <-time.After(100 * time.Millisecond):
			_, err = io.WriteString(conn, "x")
		}
	}
	<-hungUp
}

func TestAThousandSlowClientsAreHungUpOnAndOthersAreServed(t *testing.T) {
	const slow = 1000
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) {
		s.times.readHeader, s.times.read = 3*time.Second, 4*time.Second
		s.limited.most, s.limited.mostPerAddress = 2*slow, 2*slow
	})
	late := counted(t, "berth_admission_requests_total", "reason", "bad_request")
	post := "POST " + MutatePath + " HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\n"
	starts := []string{post + "X-Slow: ", post + fmt.Sprintf("Content-Length: %d\r\n\r\n{", maxBody)}
	var all sync.WaitGroup
	var hungUp atomic.Int64
	// Handshakes have a time limit, too: a thousand at once are for a larger machine.
	dialing := make(chan struct{}, 20)
	for i := range slow {
		all.Go(func() {
			dialing <- struct{}{}
			conn, err := site.dial(t, &tls.Config{MinVersion: tls.VersionTLS13})
			<-dialing
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			trickle(conn, starts[i%len(starts)])
			hungUp.Add(1)
		})
	}
	served := 0
	for ; hungUp.Load() < slow && !t.Failed(); served++ {
		if got := site.post(t, MutatePath, createReview(tutorial)); got.code != http.StatusOK {
			t.Errorf("an ordinary review: %d %s", got.code, got.body)
		}
	}
	all.Wait()
	t.Logf("%d ordinary reviews answered, %d connections hung up on", served, hungUp.Load())
	eventually(t, "only the ordinary client's connection is open", func() bool { return site.connections.open.Load() == 1 })
	if now := counted(t, "berth_admission_requests_total", "reason", "bad_request") - late; now != slow/2 {
		t.Errorf("%v bodies were late, want %d", now, slow/2)
	}
	idleBudget(t)
}
