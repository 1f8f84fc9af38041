package webhook

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// connectionCounter counts a server's connections, without a lock.
type connectionCounter struct{ open, accepted atomic.Int64 }

// note is a hook for http.Server.ConnState.
func (c *connectionCounter) note(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.accepted.Add(1)
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// Drain makes the server fail its readiness check and returns when its clients have left: when no connection has been open
// for a while, or at a deadline.
//
// Until then everything is answered as before, new connections too, for the API server hears late that it should go elsewhere.
// The answers ask it to close the connection, and so it is never the server that closes one on which a request may be on the
// way: such a request would be lost. That is why this is not http.Server's SetKeepAlivesEnabled or Shutdown, which close idle
// connections at once.
func (s *Server) Drain() {
	s.draining.Store(true)
	if s.Addr() == nil {
		return
	}
	s.options.Logger.Info("Draining", "connections", s.connections.open.Load())
	started := time.Now()
	deadline := started.Add(s.times.drain)
	quietSince, seen := started, s.connections.accepted.Load()
	ticker := time.NewTicker(s.times.quiet / 20)
	defer ticker.Stop()
	for now := range ticker.C {
		// A connection may have come and gone between two looks.
		if accepted := s.connections.accepted.Load(); accepted != seen || s.connections.open.Load() > 0 {
			quietSince, seen = now, accepted
		}
		if now.After(deadline) || now.Sub(quietSince) >= s.times.quiet {
			break
		}
	}
	s.options.Logger.Info("Drained", "connections", s.connections.open.Load(), "took", time.Since(started).String())
}

// ServeHTTP answers a request on any path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(lastAnswer{w, &s.draining}, r)
}

// lastAnswer asks the client to close the connection when the server drains by the time of the answer.
type lastAnswer struct {
	http.ResponseWriter
	draining *atomic.Bool
}

// WriteHeader implements http.ResponseWriter.
func (w lastAnswer) WriteHeader(code int) {
	if w.draining.Load() {
		w.Header()["Connection"] = connectionClose
	}
	w.ResponseWriter.WriteHeader(code)
}
