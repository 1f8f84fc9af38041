package webhook

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// plainShutdownTimeout is within what the manager's 4 s leave when the webhook server has had its own.
const plainShutdownTimeout = time.Second

// PlainOptions says what a plain server serves, and where.
type PlainOptions struct {
	// Name is what the log calls it.
	Name string
	// BindAddress is where it listens, such as ":8081".
	BindAddress string
	// Connections is how many it holds, half of them of one address.
	Connections int
	// Handler answers.
	Handler http.Handler
	// Logger gets what the HTTP server has to say.
	Logger logr.Logger
}

// NewPlainServer listens for probes, or for who reads metrics: over HTTP without TLS, with the limits that the webhook server has
// for headers, times and connections. The manager runs it before anything else and stops it last, on every replica.
//
// Nobody is kept out by whoever holds all of its connections. Each is for one request and closed with the answer, so what is held
// is connections that have not asked, or that do not take their answer. For one more the oldest of those that have not asked gives
// way: a kubelet's probe, which comes on a new connection and asks at once, is answered before it is the oldest. Those of one
// address give way among themselves once they are half of all.
func NewPlainServer(ctx context.Context, options PlainOptions) (*manager.Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", options.BindAddress)
	if err != nil {
		return nil, fmt.Errorf("listen for the %s on %s: %w", options.Name, options.BindAddress, err)
	}
	server := &http.Server{
		Handler:           bodiless(options.Handler),
		ConnContext:       withConnection,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(errorLog{options.Logger}, "", 0),
	}
	server.SetKeepAlivesEnabled(false)
	return &manager.Server{
		Name: options.Name, Server: server, ShutdownTimeout: new(plainShutdownTimeout),
		Listener: limitedListener{listener, newConnections(options.Connections)},
	}, nil
}

// bodiless answers requests that have no body: none that is asked here has one.
func bodiless(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			http.Error(w, "send no body", http.StatusRequestEntityTooLarge)
			return
		}
		connectionOf(r.Context()).whole()
		handler.ServeHTTP(w, r)
	})
}
