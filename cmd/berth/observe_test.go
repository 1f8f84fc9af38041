package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"berth.dev/berth/webhook"
)

// observed runs a manager with its probes and metrics until the test ends, and returns their addresses.
func observed(t *testing.T, ready map[string]healthz.Checker) *serveOptions {
	t.Helper()
	o := &serveOptions{healthAddress: freeAddress(t), metricsAddress: freeAddress(t)}
	mgr, err := newManager(&rest.Config{Host: "https://127.0.0.1:1"}, webhook.NewServer(webhook.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := addObserving(t.Context(), mgr, o, ready); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return o
}

// text is an answer's status and body.
func text(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", response.StatusCode, body)
}

func TestProbesAnswerAllChecksAndEach(t *testing.T) {
	o := observed(t, map[string]healthz.Checker{
		"certificate": healthz.Ping, "facts": func(*http.Request) error { return errors.New("no nodes yet") },
	})
	got := map[string]string{}
	for _, path := range []string{"/healthz", "/healthz/", "/healthz?verbose", "/readyz", "/readyz?verbose&exclude=facts", "/readyz/certificate", "/readyz/facts", "/metrics"} {
		got[path] = text(t, "http://"+o.healthAddress+path)
	}
	want := map[string]string{
		"/healthz":                      "200 ok",
		"/healthz/":                     "200 ok",
		"/healthz?verbose":              "200 [+]ping ok\nhealthz check passed\n",
		"/readyz":                       "500 [+]certificate ok\n[-]facts failed: reason withheld\nhealthz check failed\n",
		"/readyz?verbose&exclude=facts": "200 [+]certificate ok\n[+]facts excluded: ok\nhealthz check passed\n",
		"/readyz/certificate":           "200 ok",
		"/readyz/facts":                 "500 internal server error: no nodes yet\n",
		"/metrics":                      "404 404 page not found\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMetricsAreThoseOfBerthAndOfItsProcess(t *testing.T) {
	webhook.NewPolicyValidator(logr.Discard())
	got := text(t, "http://"+observed(t, nil).metricsAddress+"/metrics")
	for _, want := range []string{"200 # HELP", "\nberth_admission_requests_total{", "\ngo_goroutines ", "\ncontroller_runtime_"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the metrics: %.2000s", want, got)
		}
	}
}

// slowMetric is gathered when it is told to.
type slowMetric struct{ gathered, goOn chan struct{} }

// Describe implements prometheus.Collector.
func (slowMetric) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- prometheus.NewDesc("slow", "Gathered when it is told to.", nil, nil)
}

// Collect implements prometheus.Collector.
func (s slowMetric) Collect(chan<- prometheus.Metric) {
	s.gathered <- struct{}{}
	<-s.goOn
}

func TestMetricsAreGatheredForFewAtATime(t *testing.T) {
	o := observed(t, nil)
	slow := slowMetric{make(chan struct{}), make(chan struct{})}
	metrics.Registry.MustRegister(slow)
	t.Cleanup(func() { metrics.Registry.Unregister(slow) })
	answers := make(chan string, maxGathered)
	var all sync.WaitGroup
	for range maxGathered {
		all.Go(func() { answers <- text(t, "http://"+o.metricsAddress+"/metrics")[:3] })
		<-slow.gathered
	}
	if got := text(t, "http://"+o.metricsAddress+"/metrics")[:3]; got != "503" {
		t.Errorf("one more is answered %s", got)
	}
	close(slow.goOn)
	all.Wait()
	for range maxGathered {
		if got := <-answers; got != "200" {
			t.Errorf("one of the few is answered %s", got)
		}
	}
}

// A header line of four bytes takes more than a hundred in memory. All connections together have a bound, whether they send as
// much as a header may have or a megabyte.
func TestHeadersThatDoNotEndAtTheOtherPortsTakeLittleMemory(t *testing.T) {
	const connections, limit = 100, 16 << 20
	o := observed(t, nil)
	var header strings.Builder
	for header.WriteString("GET /healthz HTTP/1.1\r\nHost: berth\r\n"); header.Len() < 1<<20; {
		fmt.Fprintf(&header, "%x:\n", header.Len())
	}
	var most int64
	for _, size := range []int{4000, 1 << 20} {
		before := heap()
		for i := range connections {
			for _, address := range []string{o.healthAddress, o.metricsAddress} {
				dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%10))}}
				conn, err := dialer.DialContext(t.Context(), "tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				_, _ = io.WriteString(conn, header.String()[:size]) // the server may hang up before all of it has arrived
			}
			if i%10 < 9 {
				continue
			}
			time.Sleep(50 * time.Millisecond) // for the servers to read it
			if most = max(most, int64(heap())-int64(before)); most > limit {
				t.Fatalf("%d bytes are taken, more than %d", most, limit)
			}
		}
	}
	t.Logf("at most %d KiB are taken", most>>10)
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
