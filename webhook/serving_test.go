package webhook

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
)

// selfSigned returns a certificate for 127.0.0.1 and the pool that trusts it.
func selfSigned(tb testing.TB) (tls.Certificate, *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// site is a running server and a client that trusts it.
type site struct {
	*Server
	url    string
	client *http.Client
	roots  *x509.CertPool
	stop   func() error
}

// serve runs the real server, maybe adjusted, with both webhooks until the test ends.
func serve(tb testing.TB, facts Facts, logger logr.Logger, adjust ...func(*Server)) *site {
	tb.Helper()
	certificate, roots := selfSigned(tb)
	server := NewServer(Options{
		BindAddress:    "127.0.0.1:0",
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
		Logger:         logger,
	})
	server.Register(MutatePath, NewMutator(facts, logger))
	server.Register(ValidatePath, NewValidator(facts, logger))
	server.Register(BestEffortValidatePath, NewBestEffortValidator(facts, logger))
	for _, change := range adjust {
		change(server)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- server.Start(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); server.StartedChecker()(nil) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatal("the server did not start within 10 s")
		}
	}
	client := &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableCompression: true},
	}
	s := &site{Server: server, url: "https://" + server.Addr().String(), client: client, roots: roots}
	s.stop = func() error {
		client.CloseIdleConnections()
		cancel()
		err := <-stopped
		stopped <- err
		return err
	}
	tb.Cleanup(func() {
		if err := s.stop(); err != nil {
			tb.Errorf("stop the server: %v", err)
		}
	})
	return s
}

// reply is an HTTP answer, read whole.
type reply struct {
	code   int
	header http.Header
	// closed says that the server closes the connection.
	closed bool
	body   []byte
}

func (s *site) do(tb testing.TB, request *http.Request) reply {
	tb.Helper()
	got, err := s.exchange(request)
	if err != nil {
		tb.Fatalf("%s %s: %v", request.Method, request.URL, err)
	}
	return got
}

func (s *site) exchange(request *http.Request) (reply, error) {
	response, err := s.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, response.Close, body}, err
}

// request is a review as the API server sends it.
func (s *site) request(tb testing.TB, path, body string) *http.Request {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, s.url+path+"?timeout=5s", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	return request
}

// post sends a review.
func (s *site) post(tb testing.TB, path, body string) reply {
	tb.Helper()
	return s.do(tb, s.request(tb, path, body))
}

// ask posts a review and returns what was decided.
func (s *site) ask(tb testing.TB, path, body string) *admissionv1.AdmissionResponse {
	tb.Helper()
	got := s.post(tb, path, body)
	if got.code != http.StatusOK {
		tb.Fatalf("%s answered %d: %s", path, got.code, got.body)
	}
	var review admissionv1.AdmissionReview
	decoder := json.NewDecoder(bytes.NewReader(got.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&review); err != nil {
		tb.Fatalf("%s answered %s: %v", path, got.body, err)
	}
	if review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview" || review.Response == nil {
		tb.Fatalf("%s answered no AdmissionReview: %s", path, got.body)
	}
	return review.Response
}
