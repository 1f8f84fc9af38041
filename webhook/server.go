package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// The server's time limits. The idle one must be longer than the API server's 90 s, or the two race and requests get
// lost; the others bound what a slow client can hold.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 15 * time.Second
	idleTimeout       = 120 * time.Second
)

// The end, which with the 5 s of the preStop hook has to fit into a Pod's 30 s. The shutdown is for what is still in flight
// when the drain is over.
const (
	drainTimeout    = 20 * time.Second
	quietTime       = time.Second
	shutdownTimeout = 2 * time.Second
)

// times is the limits above, for tests to shorten.
type times struct{ readHeader, read, write, idle, drain, quiet, shutdown time.Duration }

// maxHeaderBytes makes a header 4 KiB at most, for net/http adds as much to it: ten times what an API server sends, with room for
// a token. Lines of four bytes take forty times as much in memory, in each connection.
const maxHeaderBytes = 1

// Options says how a Server listens.
type Options struct {
	// BindAddress is where the server listens, such as ":9443". Port 0 takes a free port: see Server.Addr.
	BindAddress string
	// GetCertificate returns the serving certificate of the moment. It is asked at every handshake.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// MinTLSVersion is the least version of TLS: tls.VersionTLS13, which is the default, or tls.VersionTLS12.
	MinTLSVersion uint16
	// Clients says who may ask.
	Clients ClientOptions
	// Logger gets what the HTTP server has to say.
	Logger logr.Logger
}

// Server is the webhook server: TLS and HTTP/1.1 with limits. It implements controller-runtime's webhook.Server.
type Server struct {
	options     Options
	times       times
	mux         *http.ServeMux
	address     atomic.Pointer[net.Addr]
	connections connectionCounter
	limited     *openConnections
	draining    atomic.Bool
}

// NewServer returns a server that does not listen yet.
func NewServer(options Options) *Server {
	if options.MinTLSVersion == 0 {
		options.MinTLSVersion = tls.VersionTLS13
	}
	return &Server{options: options, mux: http.NewServeMux(), limited: newConnections(maxConnections), times: times{
		readHeader: readHeaderTimeout, read: readTimeout, write: writeTimeout, idle: idleTimeout,
		drain: drainTimeout, quiet: quietTime, shutdown: shutdownTimeout,
	}}
}

// NeedLeaderElection returns false: every replica serves.
func (*Server) NeedLeaderElection() bool { return false }

// Register makes the server answer requests for path with hook. It panics when the path is taken.
func (s *Server) Register(path string, hook http.Handler) { s.mux.Handle(path, hook) }

// WebhookMux returns what Register fills.
func (s *Server) WebhookMux() *http.ServeMux { return s.mux }

// Addr returns the address that the server listens on, or nil while it does not.
func (s *Server) Addr() net.Addr {
	if address := s.address.Load(); address != nil {
		return *address
	}
	return nil
}

// StartedChecker returns a check that passes while the server listens, has a certificate to show and does not drain.
func (s *Server) StartedChecker() healthz.Checker {
	return func(*http.Request) error {
		if s.draining.Load() {
			return errors.New("the webhook server is draining: it answers, and wants no new requests")
		}
		if s.Addr() == nil {
			return errors.New("the webhook server does not listen yet")
		}
		if _, err := s.options.GetCertificate(&tls.ClientHelloInfo{}); err != nil {
			return fmt.Errorf("the webhook server has no certificate: %w", err)
		}
		return nil
	}
}

// Start listens and serves until the context ends, then closes idle connections and lets the requests in flight finish. Call
// Drain before.
func (s *Server) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.options.BindAddress)
	if err != nil {
		return fmt.Errorf("listen for webhook requests on %s: %w", s.options.BindAddress, err)
	}
	server := s.httpServer()
	address := listener.Addr()
	s.address.Store(&address)
	defer s.address.Store(nil)
	s.options.Logger.Info("Serving webhooks", "address", address.String())

	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(limitedListener{listener, s.limited}, "", "") }()
	select {
	case err := <-served:
		return fmt.Errorf("serve webhooks on %s: %w", address, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.times.shutdown)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		s.options.Logger.Info("Requests were still in flight, and are cut off", "after", s.times.shutdown.String())
		_ = server.Close()
	}
	s.options.Logger.Info("Stopped serving webhooks")
	return nil
}

func (s *Server) httpServer() *http.Server {
	// HTTP/2 would put all of an API server's requests on one connection to one replica; with HTTP/1.1 they spread, and a
	// connection can be closed without losing a request.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           s,
		Protocols:         protocols,
		TLSConfig:         s.tlsConfig(),
		ConnState:         s.connections.note,
		ConnContext:       withConnection,
		ReadHeaderTimeout: s.times.readHeader,
		ReadTimeout:       s.times.read,
		WriteTimeout:      s.times.write,
		IdleTimeout:       s.times.idle,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(errorLog{s.options.Logger}, "", 0),
	}
}

// errorLog passes net/http's own log on. Failed handshakes are the noise of port scans and TCP probes: debug level.
type errorLog struct{ logger logr.Logger }

// Write logs one line.
func (l errorLog) Write(line []byte) (int, error) {
	message := strings.TrimSpace(string(line))
	if strings.Contains(message, "TLS handshake error") {
		l.logger.V(1).Info("Handshake failed", "cause", message)
	} else {
		l.logger.Info("The HTTP server complains", "cause", message)
	}
	return len(line), nil
}
