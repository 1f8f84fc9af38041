package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"berth.dev/berth/webhook"
)

// How many connections the ports for probes and metrics hold. One takes up to 100 KiB while its header arrives, and one that does
// not take its answer holds the metrics: a megabyte on the leader, where there are a thousand DaemonSets.
const (
	probeConnections   = 64
	metricsConnections = 16
)

// Where there is much, gathering the metrics takes some megabytes: maxGathered is how many may ask at a time, others get 503.
const (
	maxGathered   = 2
	gatherTimeout = 10 * time.Second
)

// nowhere is the address at which nothing listens.
const nowhere = "0"

// addObserving gives the manager the servers of probes and metrics. Those that it has itself take any number of connections, each
// with a header of a megabyte.
func addObserving(ctx context.Context, mgr manager.Manager, o *serveOptions, ready map[string]healthz.Checker) error {
	probes, scrapes := http.NewServeMux(), http.NewServeMux()
	handleChecks(probes, "/healthz", map[string]healthz.Checker{"ping": healthz.Ping})
	handleChecks(probes, "/readyz", ready)
	scrapes.Handle("/metrics", metricsHandler())
	for _, options := range []webhook.PlainOptions{
		{Name: "health probe", BindAddress: o.healthAddress, Connections: probeConnections, Handler: probes},
		{Name: "metrics", BindAddress: o.metricsAddress, Connections: metricsConnections, Handler: scrapes},
	} {
		if options.BindAddress == "" || options.BindAddress == nowhere {
			continue
		}
		options.Logger = mgr.GetLogger()
		server, err := webhook.NewPlainServer(ctx, options)
		if err != nil {
			return fmt.Errorf("prepare the server: %w", err)
		}
		if err := mgr.Add(server); err != nil {
			return fmt.Errorf("prepare the server: %w", err)
		}
	}
	return nil
}

// handleChecks serves all checks at the path, and each below it.
func handleChecks(mux *http.ServeMux, path string, checks map[string]healthz.Checker) {
	handler := http.StripPrefix(path, &healthz.Handler{Checks: checks})
	mux.Handle(path, handler)
	mux.Handle(path+"/", handler)
}

// metricsHandler answers with the metrics, once they are gathered whole: who is slow to take them takes no turn of others.
func metricsHandler() http.Handler {
	gathered := promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.HTTPErrorOnError, MaxRequestsInFlight: maxGathered,
	})
	return http.TimeoutHandler(gathered, gatherTimeout, "")
}
