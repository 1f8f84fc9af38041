package webhook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// benchServerEnv makes the test binary be the server that its value names, so that the server's CPU time and memory are
// its own and not the client's.
const benchServerEnv = "BERTH_BENCH_SERVER"

// benchServers are the servers that BenchmarkServe compares.
var benchServers = []struct {
	name  string
	serve func(net.Listener, tls.Certificate) error
}{
	{"berth", serveBerth},
	{"constant", serveConstant},
}

func TestMain(m *testing.M) {
	for _, s := range benchServers {
		if s.name == os.Getenv(benchServerEnv) {
			if err := runBenchServer(s.serve); err != nil {
				fmt.Fprintln(os.Stderr, err) // the benchmark notices that there is no answer
			}
			return
		}
	}
	m.Run()
}

func serveBerth(listener net.Listener, certificate tls.Certificate) error {
	server := NewServer(Options{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }})
	server.Register(MutatePath, NewMutator(newFacts(&testing.B{}, ownLabel), logr.Discard()))
	return server.httpServer().ServeTLS(limitedListener{listener, server.limited}, "", "")
}

// serveConstant is the floor: net/http and TLS as they are, a body that is read, and always the same answer.
func serveConstant(listener net.Listener, certificate tls.Certificate) error {
	constant := []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"` + testUID + `","allowed":true}}`)
	server := &http.Server{
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS13},
		ReadHeaderTimeout: readHeaderTimeout,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(constant)
		}),
	}
	return server.ServeTLS(listener, "", "")
}

// benchServerState is what the server process says of itself, one JSON text a line.
type benchServerState struct {
	Address     string
	Certificate []byte
	CPU         time.Duration
	// Allocated is in bytes, since the start.
	Allocated uint64
	// PeakRSS is in KiB.
	PeakRSS int
}

// runBenchServer serves, and answers each line of its standard input with its state, until the input ends.
func runBenchServer(serve func(net.Listener, tls.Certificate) error) error {
	certificate, _ := selfSigned(&testing.B{})
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(listener, certificate) }()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		select {
		case err := <-failed:
			return err
		default:
		}
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		state := benchServerState{
			Address: listener.Addr().String(), Certificate: certificate.Certificate[0], CPU: cpuTime(&testing.B{}), Allocated: memory.TotalAlloc,
		}
		if state.PeakRSS, err = peakMemory(); err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(state); err != nil {
			return err
		}
	}
	return lines.Err()
}

func peakMemory() (kib int, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, err = fmt.Sscan(rest, &kib)
		}
	}
	return kib, err
}

// benchServer is a running server process.
type benchServer struct {
	in  io.Writer
	out *json.Decoder
}

func startBenchServer(b testing.TB, name string) *benchServer {
	b.Helper()
	// The server ends with the test binary at the latest, for its standard input ends then.
	command := exec.CommandContext(context.WithoutCancel(b.Context()), os.Args[0])
	command.Env = append(os.Environ(), benchServerEnv+"="+name)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		if err := command.Wait(); err != nil {
			b.Error(err)
		}
	})
	return &benchServer{in: in, out: json.NewDecoder(out)}
}

func (s *benchServer) state(b testing.TB) benchServerState {
	b.Helper()
	var state benchServerState
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		b.Fatal(err)
	}
	if err := s.out.Decode(&state); err != nil {
		b.Fatal(err)
	}
	return state
}

// BenchmarkServe has 4 connections ask each server over TLS, by turns, so that what else the machine does hits both alike,
// and says how much CPU the servers used a request.
func BenchmarkServe(b *testing.B) {
	const turn = 500
	for _, review := range benchReviews[:3] {
		body := review.body()
		b.Run(review.name, func(b *testing.B) {
			var clients []*benchClient
			for _, s := range benchServers {
				clients = append(clients, startBenchServer(b, s.name).client(b, body))
			}
			b.ResetTimer()
			for left := b.N; left > 0; left -= turn {
				for _, c := range clients {
					c.send(b, min(left, turn))
				}
			}
			b.StopTimer()
			var used []float64
			for i, c := range clients {
				after := c.server.state(b)
				used = append(used, float64((after.CPU-c.before.CPU).Nanoseconds())/1000/float64(b.N))
				name := benchServers[i].name
				b.ReportMetric(used[i], name+"-cpu-µs/op")
				b.ReportMetric(float64(after.Allocated-c.before.Allocated)/float64(b.N), name+"-B/op")
				b.ReportMetric(float64(after.PeakRSS)/1024, name+"-peak-RSS-MiB")
			}
			b.ReportMetric(used[0]/used[1], "x-constant")
		})
	}
}

// benchClient sends one review again and again, as the API server does.
type benchClient struct {
	client http.Client
	url    string
	body   []byte
	server *benchServer
	// before is the server's state before the benchmark.
	before benchServerState
}

// client connects to the server, and warms it up.
func (s *benchServer) client(b *testing.B, body []byte) *benchClient {
	b.Helper()
	c := s.connect(b, body, connections)
	c.send(b, 400)
	c.before = s.state(b)
	return c
}

// connect returns a client with so many connections.
func (s *benchServer) connect(tb testing.TB, body []byte, connections int) *benchClient {
	tb.Helper()
	state := s.state(tb)
	certificate, err := x509.ParseCertificate(state.Certificate)
	if err != nil {
		tb.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections,
	}
	tb.Cleanup(transport.CloseIdleConnections)
	return &benchClient{client: http.Client{Transport: transport}, url: "https://" + state.Address + MutatePath + "?timeout=5s", body: body, server: s}
}

// connections is how many an API server might hold.
const connections = 4

func (c *benchClient) send(b *testing.B, requests int) {
	b.Helper()
	var sent atomic.Int64
	var senders sync.WaitGroup
	for range connections {
		senders.Go(func() {
			for sent.Add(1) <= int64(requests) {
				if err := c.sendOne(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
}

func (c *benchClient) sendOne(ctx context.Context) error {
	code, answer, err := c.post(ctx)
	if err == nil && (code != http.StatusOK || !bytes.Contains(answer, []byte(`"allowed":true`))) {
		err = fmt.Errorf("%d: %s", code, answer)
	}
	return err
}

func (c *benchClient) post(ctx context.Context) (code int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, */*")
	response, err := c.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}
