package webhook

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// from opens a connection of another address of this machine.
func (s *site) from(tb testing.TB, address string) *tls.Conn {
	tb.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", s.Addr().String(), &tls.Config{RootCAs: s.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// isHungUpOn tells whether the server has closed the connection.
func isHungUpOn(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	timeout, ok := err.(net.Error) //nolint:errorlint // as net returns it
	return err != nil && (!ok || !timeout.Timeout())
}

func TestTheConnectionThatHasGoneLongestWithoutAWholeRequestGivesWay(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) { s.limited.most, s.limited.mostPerAddress = 4, 2 })
	site.ask(t, MutatePath, createReview(tutorial)) // one connection, which has had a whole request
	before := site.connections.accepted.Load()
	first := site.from(t, "127.0.0.2")
	second := site.from(t, "127.0.0.2")
	third := site.from(t, "127.0.0.2")
	if !isHungUpOn(first) || isHungUpOn(second) || isHungUpOn(third) {
		t.Error("of three connections of one address the first should give way")
	}
	for i := range 20 {
		last := site.from(t, fmt.Sprintf("127.0.1.%d", i+1))
		if isHungUpOn(last) {
			t.Errorf("connection %d is not open", i)
		}
	}
	if !isHungUpOn(second) || !isHungUpOn(third) {
		t.Error("the oldest connections should give way")
	}
	if open := site.connections.open.Load(); open > 4 {
		t.Errorf("%d connections are open", open)
	}
	site.ask(t, MutatePath, createReview(tutorial))
	if accepted := site.connections.accepted.Load() - before; accepted != 23 {
		t.Errorf("%d connections were accepted, and the one that is used should have been kept", accepted)
	}
	site.limited.mu.Lock()
	defer site.limited.mu.Unlock()
	if len(site.limited.byAddress) > len(site.limited.open) {
		t.Errorf("%d addresses of %d connections are remembered", len(site.limited.byAddress), len(site.limited.open))
	}
}

func TestANewConnectionOfWhoeverAsksIsKept(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) { s.limited.most = 4 })
	site.ask(t, MutatePath, createReview(tutorial))
	unused := site.from(t, "127.0.0.1") // of the same address
	for i := range 20 {
		if last := site.from(t, fmt.Sprintf("127.0.1.%d", i+1)); isHungUpOn(last) {
			t.Errorf("connection %d is not open", i)
		}
	}
	if isHungUpOn(unused) {
		t.Error("it is hung up on, before others from whose address no request has come")
	}
}

// Six hundred connections hold 60 KB each, which is more than there is memory for: ordinary reviews are answered all the same.
func TestSlowBodiesGiveWayToOrdinaryReviews(t *testing.T) {
	idleBudget(t)
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	start := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", MutatePath, 61<<10)
	for i := range 600 {
		if _, err := io.WriteString(site.from(t, fmt.Sprintf("127.0.0.%d", 2+i%3)), start+strings.Repeat(" ", 60<<10)); err != nil {
			t.Fatal(err)
		}
		if taken := maxBodies - bodies.left.Load(); taken > maxBodies {
			t.Fatalf("%d bytes are taken", taken)
		}
		if i%20 == 0 {
			if got := site.post(t, MutatePath, createReview(tutorial)); got.code != http.StatusOK {
				t.Fatalf("an ordinary review beside %d slow ones: %d %s", i, got.code, got.body)
			}
		}
	}
	if err := site.stop(); err != nil {
		t.Fatal(err)
	}
	idleBudget(t)
}
