package webhook

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// servePlain runs a plain server until the test ends, and returns its address.
func servePlain(t *testing.T, connections int, handler http.HandlerFunc) string {
	t.Helper()
	server, err := NewPlainServer(t.Context(), PlainOptions{
		Name: "test", BindAddress: "127.0.0.1:0", Connections: connections, Handler: handler, Logger: logr.Discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Start(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return server.Listener.Addr().String()
}

func answerOK(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// plainFrom connects from another address of this machine, and sends that.
func plainFrom(t *testing.T, from, to, text string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// probed asks as a kubelet does: on a connection of its own.
func probed(t *testing.T, address string, header http.Header, body io.Reader) (code int, closed bool) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/healthz", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode, response.Close
}

func TestWhoeverHoldsAllPlainConnectionsKeepsNoProbeOut(t *testing.T) {
	const connections, strangers, rounds = 8, 5, 20
	address := servePlain(t, connections, answerOK)
	var held []net.Conn
	for i := range strangers * rounds {
		text := []string{"", "GET /healthz HTTP/1.1\r\n"}[i%2]
		held = append(held, plainFrom(t, fmt.Sprintf("127.0.1.%d", 1+i%strangers), address, text))
		if i%strangers > 0 {
			continue
		}
		if code, closed := probed(t, address, nil, http.NoBody); code != http.StatusOK || !closed {
			t.Fatalf("a probe beside %d connections: %d, closed: %v", i, code, closed)
		}
	}
	open := 0
	for _, conn := range held {
		if !isHungUpOn(conn) {
			open++
		}
	}
	if open == 0 || open > connections {
		t.Errorf("%d connections are open, not up to %d", open, connections)
	}
}

func TestOneAddressHoldsHalfOfThePlainConnections(t *testing.T) {
	address := servePlain(t, 4, answerOK)
	another := plainFrom(t, "127.0.0.3", address, "")
	var held []net.Conn
	for range 20 {
		held = append(held, plainFrom(t, "127.0.0.2", address, ""))
	}
	eventually(t, "all but two of one address are hung up on", func() bool { return isHungUpOn(held[17]) })
	if isHungUpOn(another) || isHungUpOn(held[18]) || isHungUpOn(held[19]) {
		t.Error("that of another address, and the last two, should be kept")
	}
}

func TestAPlainServerTakesSmallHeadersAndNoBodies(t *testing.T) {
	address := servePlain(t, 4, answerOK)
	for size, want := range map[int]int{3 << 10: http.StatusOK, 8 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		header := http.Header{"Authorization": {"Bearer " + strings.Repeat("x", size)}}
		if code, _ := probed(t, address, header, http.NoBody); code != want {
			t.Errorf("a header of %d bytes: %d, not %d", size, code, want)
		}
	}
	if code, _ := probed(t, address, http.Header{}, strings.NewReader("x")); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body: %d", code)
	}
}

func TestEveryPhaseOfAPlainRequestHasATimeLimit(t *testing.T) {
	plain, err := NewPlainServer(t.Context(), PlainOptions{Name: "test", BindAddress: "127.0.0.1:0", Handler: http.NotFoundHandler()})
	if err != nil {
		t.Fatal(err)
	}
	_ = plain.Listener.Close()
	got := [...]time.Duration{plain.Server.ReadHeaderTimeout, plain.Server.ReadTimeout, plain.Server.WriteTimeout, *plain.ShutdownTimeout}
	if want := [...]time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, time.Second}; got != want {
		t.Errorf("limits %v, want %v", got, want)
	}
}

func TestAPlainServerSaysWhichAddressIsInUse(t *testing.T) {
	address := servePlain(t, 4, answerOK)
	_, err := NewPlainServer(t.Context(), PlainOptions{Name: "metrics", BindAddress: address})
	if err == nil || !strings.Contains(err.Error(), "listen for the metrics on "+address) {
		t.Errorf("got %v", err)
	}
}
