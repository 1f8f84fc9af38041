package webhook

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

var _ webhook.Server = (*Server)(nil)

func (s *site) dial(t *testing.T, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	config.RootCAs = s.roots
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*tls.Conn), nil
}

func TestEveryPhaseOfARequestHasATimeLimit(t *testing.T) {
	server := NewServer(Options{}).httpServer()
	got := []time.Duration{server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout}
	want := []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, 120 * time.Second}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("limits %v, want %v", got, want)
		}
	}
}

func TestAnUnknownPathIs404(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	if got := site.post(t, "/", createReview(tutorial)); got.code != http.StatusNotFound {
		t.Errorf("got %d", got.code)
	}
}

func TestTheServerIsStartedWhenItListensAndHasACertificate(t *testing.T) {
	server := NewServer(Options{
		BindAddress:    "127.0.0.1:0",
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("no file") },
		Logger:         logr.Discard(),
	})
	if err := server.StartedChecker()(nil); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("before it listens: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Start(ctx) }()
	for server.Addr() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := server.StartedChecker()(nil); err == nil || !strings.Contains(err.Error(), "certificate: no file") {
		t.Errorf("without a certificate: %v", err)
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAnAddressInUseIsAnErrorThatNamesIt(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	err = NewServer(Options{BindAddress: taken.Addr().String(), Logger: logr.Discard()}).Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "listen for webhook requests on "+taken.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestShutdownLetsTheRequestInFlightFinish(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	half := site.sendHalf(t)
	stopped := make(chan error, 1)
	go func() { stopped <- site.stop() }()
	waitUntilClosed(t, site.url)
	half.finish(t)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsOffWhatDoesNotFinish(t *testing.T) {
	var logged lines
	site := serve(t, newFacts(t, ownLabel), logged.logger(), func(s *Server) { s.times.shutdown = 10 * time.Millisecond })
	half := site.sendHalf(t)
	if err := site.stop(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(half.conn); !errors.Is(err, io.ErrUnexpectedEOF) && err != nil {
		t.Errorf("the connection: %v", err)
	}
	if !logged.contain("Requests were still in flight, and are cut off") {
		t.Errorf("logged %v", logged.all())
	}
}

// halfSent is a request in flight.
type halfSent struct {
	conn    io.ReadWriter
	request *http.Request
	rest    string
}

// sendHalf sends the first half of a review, and returns when it is in flight.
func (s *site) sendHalf(t *testing.T) halfSent {
	t.Helper()
	conn, err := s.dial(t, &tls.Config{MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	body := createReview(tutorial)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://berth"+MutatePath, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	var wire strings.Builder
	if err := request.Write(&wire); err != nil {
		t.Fatal(err)
	}
	half := wire.Len() - len(body)/2
	if _, err := io.WriteString(conn, wire.String()[:half]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request is in flight", func() bool { return counted(t, "berth_admission_in_flight", "webhook", "mutate") > 0 })
	return halfSent{conn, request, wire.String()[half:]}
}

// finish sends the other half, and wants a real answer and that the server closes the connection.
func (h halfSent) finish(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(h.conn, h.rest); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(h.conn), h.request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("%d, closed %v: %s %v", response.StatusCode, response.Close, answer, err)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s it is still not so that %s", what)
		}
	}
}

// waitUntilClosed waits until the server takes no more connections.
func waitUntilClosed(t *testing.T, url string) {
	t.Helper()
	for {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "https://"))
		if err != nil {
			return
		}
		_ = conn.Close()
		time.Sleep(time.Millisecond)
	}
}

func TestHandshakeNoiseIsForDebugging(t *testing.T) {
	var debug, info lines
	for _, logger := range []logr.Logger{debug.at(1), info.at(0)} {
		site := serve(t, newFacts(t, ownLabel), logger)
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", site.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(conn) // the server says that this is no TLS and hangs up
		_ = conn.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); !debug.contain("Handshake failed"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a failed handshake was not logged for debugging")
		}
	}
	if info.contain("andshake") {
		t.Errorf("logged %v", info.all())
	}
}
