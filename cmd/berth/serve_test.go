package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"berth.dev/berth/webhook"
)

// keyPair is a certificate that signed itself, for servers and clients, and where it is.
type keyPair struct {
	tls.Certificate
	pem               []byte
	certFile, keyFile string
}

func newKeyPair(t *testing.T, name string) keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return keyPair{
		tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, certPEM,
		writeFile(t, "tls.crt", string(certPEM)), writeFile(t, "tls.key", string(keyPEM)),
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s it is still not so that %s", what)
		}
	}
}

// get returns an answer's status, 0 when there is none, and whether the server closes the connection.
func get(t *testing.T, client *http.Client, url string) (code int, closed bool) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, false
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Close
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func TestUntilTheServerHasDrainedEverythingElseGoesOnButReadiness(t *testing.T) {
	pair := newKeyPair(t, "berth")
	server := webhook.NewServer(webhook.Options{
		BindAddress:    "127.0.0.1:0",
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair.Certificate, nil },
		Logger:         logr.Discard(),
	})
	o := serveOptions{healthAddress: freeAddress(t), metricsAddress: "0"}
	mgr, err := newManager(&rest.Config{Host: "https://127.0.0.1:1"}, server)
	if err != nil {
		t.Fatal(err)
	}
	mgr.GetWebhookServer().Register("/", http.NotFoundHandler())
	besideEnded := make(chan struct{})
	beside := manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		close(besideEnded)
		return nil
	})
	if err := addObserving(t.Context(), mgr, &o, map[string]healthz.Checker{"webhook": server.StartedChecker()}); err != nil {
		t.Fatal(err)
	}
	if err := addBeside(mgr, beside); err != nil {
		t.Fatal(err)
	}
	ctx, terminate := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runUntilDrained(ctx, mgr, server) }()
	probes := &http.Client{}
	ready := func() int { code, _ := get(t, probes, "http://"+o.healthAddress+"/readyz"); return code }
	eventually(t, "berth is ready", func() bool { return ready() == http.StatusOK })

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pair.pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}
	hook := "https://" + server.Addr().String() + "/"
	if code, closed := get(t, client, hook); code != http.StatusNotFound || closed {
		t.Errorf("before: %d, closed: %v", code, closed)
	}
	terminate()
	eventually(t, "berth is not ready", func() bool { return ready() == http.StatusInternalServerError })
	select {
	case <-besideEnded:
		t.Error("what runs beside the server ended before it had drained")
	case err := <-ended:
		t.Fatalf("it ended with a connection open: %v", err)
	default:
	}
	for range 2 { // on the connection that was there, and on a new one
		if code, closed := get(t, client, hook); code != http.StatusNotFound || !closed {
			t.Errorf("while it drains: %d, closed: %v", code, closed)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-besideEnded
}

func TestTheCAsOfClientsAreReadAgainAndAFileThatIsNoGoodChangesNothing(t *testing.T) {
	first, second := newKeyPair(t, "front"), newKeyPair(t, "front")
	volume := t.TempDir()
	file := filepath.Join(volume, "ca.crt")
	if err := os.Symlink("..data/ca.crt", file); err != nil {
		t.Fatal(err)
	}
	project(t, volume, first.pem)
	clients, err := newClientCA(&serveOptions{clientCAFile: file, clientNames: []string{"front"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- clients.Start(ctx) }()
	trusted := func() []bool {
		options, known := clients.options().VerifyOptions()
		var all []bool
		for _, pair := range []keyPair{first, second} {
			_, err := leaf(t, pair).Verify(options)
			all = append(all, known && err == nil)
		}
		return all
	}
	expect := func(want ...bool) {
		t.Helper()
		eventually(t, "the CAs are read", func() bool { return cmp.Equal(want, trusted()) })
	}
	expect(true, false)
	project(t, volume, append(first.pem, second.pem...))
	expect(true, true)
	project(t, volume, []byte("no PEM"))
	if err := clients.file.RunOnce(ctx); err == nil {
		t.Error("a file that is no PEM was loaded")
	}
	expect(true, true)
	project(t, volume, second.pem)
	expect(false, true)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// project replaces ca.crt in a volume as a kubelet does: a new folder, a link swapped, the old folder removed.
func project(t *testing.T, volume string, content []byte) {
	t.Helper()
	folder, err := os.MkdirTemp(volume, "..version")
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(volume, "..data")
	former, _ := os.Readlink(link)
	for _, err := range []error{
		os.WriteFile(filepath.Join(folder, "ca.crt"), content, 0o600),
		os.Symlink(filepath.Base(folder), link+"_tmp"),
		os.Rename(link+"_tmp", link),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if former != "" {
		if err := os.RemoveAll(filepath.Join(volume, former)); err != nil {
			t.Fatal(err)
		}
	}
}

func leaf(t *testing.T, pair keyPair) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(pair.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestWithoutAClientCAAnybodyMayAsk(t *testing.T) {
	clients, err := newClientCA(&serveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if clients.options().VerifyOptions != nil {
		t.Error("a certificate is demanded")
	}
	if err := clients.Start(t.Context()); err != nil {
		t.Error(err)
	}
}
