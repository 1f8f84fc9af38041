package webhook

import (
	"bytes"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

// drains makes a drain end after the quiet time, or after the other.
func drains(quiet, deadline time.Duration) func(*Server) {
	return func(s *Server) { s.times.quiet, s.times.drain = quiet, deadline }
}

// startDrain returns when the server drains; drained is closed when that is over.
func (s *site) startDrain(t *testing.T) (drained chan struct{}) {
	t.Helper()
	drained = make(chan struct{})
	go func() {
		s.Drain()
		close(drained)
	}()
	eventually(t, "the server drains", s.draining.Load)
	return drained
}

func TestClientsThatGoOnPostingLoseNothingWhileTheServerDrains(t *testing.T) {
	const posters, posts = 4, 200
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), drains(100*time.Millisecond, time.Hour))
	site.client.Transport.(*http.Transport).MaxIdleConnsPerHost = posters
	var sent atomic.Int64
	var failed, kept atomic.Int64
	var all sync.WaitGroup
	for range posters {
		all.Go(func() {
			for i := 0; i < posts; {
				drained := site.draining.Load()
				got, err := site.exchange(site.request(t, MutatePath, createReview(tutorial)))
				sent.Add(1)
				if err != nil || got.code != http.StatusOK || !bytes.Contains(got.body, []byte(`"JSONPatch"`)) {
					t.Errorf("%d %s %v", got.code, got.body, err)
					failed.Add(1)
				}
				if drained {
					i++
					if !got.closed {
						kept.Add(1)
					}
				}
			}
		})
	}
	eventually(t, "there is load", func() bool { return sent.Load() > 100 })
	drained := site.startDrain(t)
	all.Wait()
	<-drained
	if failed.Load()+kept.Load() > 0 {
		t.Errorf("of %d posts %d failed; %d connections were to be kept", sent.Load(), failed.Load(), kept.Load())
	}
}

func TestAnIdleConnectionIsGoodForOneMoreRequestWhileTheServerDrains(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), drains(20*time.Millisecond, time.Hour))
	site.ask(t, MutatePath, createReview(tutorial))
	drained := site.startDrain(t)
	var reused []bool
	for range 3 {
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = append(reused, c.Reused) }}
		request := site.request(t, MutatePath, createReview(tutorial))
		request = request.WithContext(httptrace.WithClientTrace(request.Context(), trace))
		if got := site.do(t, request); got.code != http.StatusOK || !got.closed {
			t.Errorf("%d %s, closed: %v", got.code, got.body, got.closed)
		}
	}
	if diff := cmp.Diff([]bool{true, false, false}, reused); diff != "" {
		t.Errorf("connections that were there before (-want +got):\n%s", diff)
	}
	<-drained
}

func TestARequestInFlightFinishesWhileTheServerDrains(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), drains(20*time.Millisecond, time.Hour))
	half := site.sendHalf(t)
	drained := site.startDrain(t)
	half.finish(t)
	<-drained
}

func TestAnIdleConnectionHoldsTheDrainUntilTheDeadlineAndIsThenClosed(t *testing.T) {
	const deadline = 200 * time.Millisecond
	var logged lines
	site := serve(t, newFacts(t, ownLabel), logged.logger(), drains(20*time.Millisecond, deadline))
	site.ask(t, MutatePath, createReview(tutorial))
	started := time.Now()
	site.Drain()
	if took := time.Since(started); took < deadline {
		t.Errorf("it held for %s only", took)
	}
	if !logged.contain(`"Drained" "connections"=1`) {
		t.Errorf("logged %v", logged.all())
	}
	if err := site.stop(); err != nil {
		t.Error(err)
	}
	eventually(t, "no connection is open", func() bool { return site.connections.open.Load() == 0 })
}

func TestWithoutConnectionsADrainIsQuick(t *testing.T) {
	var logged lines
	site := serve(t, newFacts(t, ownLabel), logged.logger(), drains(20*time.Millisecond, time.Hour))
	site.ask(t, MutatePath, createReview(tutorial))
	site.client.CloseIdleConnections()
	site.Drain()
	if !logged.contain(`"Drained" "connections"=0`) {
		t.Errorf("logged %v", logged.all())
	}
}

func TestAServerThatDrainsIsNotReady(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), drains(20*time.Millisecond, time.Hour))
	<-site.startDrain(t)
	err := site.StartedChecker()(nil)
	if err == nil || !strings.Contains(err.Error(), "draining") {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatNeverListenedHasNothingToDrain(t *testing.T) {
	server := NewServer(Options{Logger: logr.Discard()})
	server.times.drain = time.Hour
	server.Drain()
	if err := server.StartedChecker()(nil); err == nil || !strings.Contains(err.Error(), "draining") {
		t.Errorf("got %v", err)
	}
}
