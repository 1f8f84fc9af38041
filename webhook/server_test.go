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

func TestTheServerSpeaksTLS13AndHTTP11Only(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	conn, err := site.dial(t, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if state := conn.ConnectionState(); state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("negotiated %s and %q", tls.VersionName(state.Version), state.NegotiatedProtocol)
	}
	if _, err := site.dial(t, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("the server speaks TLS 1.2")
	}
	if _, err := site.dial(t, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}); err == nil {
		t.Error("the server speaks HTTP/2")
	}
}

func TestTLS12CanBeSelected(t *testing.T) {
	server := NewServer(Options{MinTLSVersion: tls.VersionTLS12}).httpServer()
	if server.TLSConfig.MinVersion != tls.VersionTLS12 {
		t.Errorf("the minimum is %s", tls.VersionName(server.TLSConfig.MinVersion))
	}
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
	conn, err := site.dial(t, &tls.Config{MinVersion: tls.VersionTLS13})
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
	for counted(t, "berth_admission_in_flight", "webhook", "mutate") == 0 {
		time.Sleep(time.Millisecond)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- site.stop() }()
	waitUntilClosed(t, site.url)
	if _, err := io.WriteString(conn, wire.String()[half:]); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("%d, closed %v: %s %v", response.StatusCode, response.Close, answer, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
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
