package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
)

// testCA signs the certificates of clients.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTestCA(t *testing.T, name string) *testCA {
	t.Helper()
	ca := &testCA{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	ca.cert = create(t, template, template, ca)
	return ca
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// create signs the template with its parent's key. The certificate has the parent's key, too, which tests do not mind.
func create(t *testing.T, template, parent *x509.Certificate, signer *testCA) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &signer.key.PublicKey, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// client returns a certificate that is valid until then.
func (ca *testCA) client(t *testing.T, name string, usage x509.ExtKeyUsage, until time.Time) tls.Certificate {
	t.Helper()
	cert := create(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, ca.cert, ca)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: ca.key}
}

// options demand a client certificate of the CA, as --client-ca-file has it.
func (ca *testCA) options() (x509.VerifyOptions, bool) {
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	return x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, true
}

// asks tells how it goes when a client with this configuration posts a review: the TLS version and what went wrong.
func (s *site) asks(t *testing.T, config *tls.Config) (version, fault string) {
	t.Helper()
	config.RootCAs = s.roots
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	response, err := client.Do(s.request(t, MutatePath, createReview(tutorial)))
	if err != nil {
		if _, after, found := strings.Cut(err.Error(), "tls: "); found {
			return "", after
		}
		return "", err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return "", response.Status
	}
	return tls.VersionName(response.TLS.Version), ""
}

func TestTheServerSpeaksModernTLSAndHTTP11Only(t *testing.T) {
	const only12, only13 = tls.VersionTLS12, tls.VersionTLS13
	anyCipher := func() (ids []uint16) {
		for _, suite := range tls.CipherSuites() {
			ids = append(ids, suite.ID)
		}
		return ids
	}()
	noneInCommon := "protocol version not supported"
	noCipher := "handshake failure"
	tests := map[string]struct {
		min         uint16
		client      *tls.Config
		want, fault string
	}{
		"1.3 by default":                     {0, &tls.Config{MinVersion: only12}, "TLS 1.3", ""},
		"1.2 not by default":                 {0, &tls.Config{MinVersion: only12, MaxVersion: only12}, "", noneInCommon},
		"1.3 where 1.2 is allowed":           {only12, &tls.Config{MinVersion: only12, MaxVersion: only13}, "TLS 1.3", ""},
		"1.2 where it is allowed":            {only12, &tls.Config{MinVersion: only12, MaxVersion: only12}, "TLS 1.2", ""},
		"never 1.1":                          {only12, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "", noneInCommon},
		"1.2 with any of Go's ciphers":       {only12, &tls.Config{MaxVersion: only12, CipherSuites: anyCipher}, "TLS 1.2", ""},
		"1.2 with AES-256-GCM":               {only12, &tls.Config{MaxVersion: only12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}}, "TLS 1.2", ""},
		"1.2 with ChaCha20":                  {only12, &tls.Config{MaxVersion: only12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}}, "TLS 1.2", ""},
		"1.2 not with CBC":                   {only12, &tls.Config{MaxVersion: only12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}}, "", noCipher},
		"1.2 not with the RSA key exchange":  {only12, &tls.Config{MaxVersion: only12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, "", noCipher},
		"HTTP/1.1 where both are offered":    {0, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, "TLS 1.3", ""},
		"no HTTP/2, not even where asked so": {0, &tls.Config{NextProtos: []string{"h2"}}, "", "no application protocol"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) {
				if test.min != 0 {
					s.options.MinTLSVersion = test.min
				}
			})
			version, fault := site.asks(t, test.client)
			if version != test.want || !strings.Contains(fault, test.fault) {
				t.Errorf("spoke %q (want %q), and failed with %q (want %q)", version, test.want, fault, test.fault)
			}
		})
	}
}

func TestOnlyAClientWithACertificateMayAskWhereOneIsDemanded(t *testing.T) {
	const name = "system:kube-apiserver"
	ca, other := newTestCA(t, "front"), newTestCA(t, "other")
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	clients := map[string]struct {
		certificates []tls.Certificate
		want13       string
		want12       string
	}{
		"right":        {certificates: []tls.Certificate{ca.client(t, name, x509.ExtKeyUsageClientAuth, soon)}},
		"none":         {nil, "certificate required", "handshake failure"},
		"wrong CA":     {[]tls.Certificate{other.client(t, name, x509.ExtKeyUsageClientAuth, soon)}, "bad certificate", "bad certificate"},
		"wrong name":   {[]tls.Certificate{ca.client(t, "alice", x509.ExtKeyUsageClientAuth, soon)}, "bad certificate", "bad certificate"},
		"expired":      {[]tls.Certificate{ca.client(t, name, x509.ExtKeyUsageClientAuth, past)}, "bad certificate", "bad certificate"},
		"for a server": {[]tls.Certificate{ca.client(t, name, x509.ExtKeyUsageServerAuth, soon)}, "bad certificate", "bad certificate"},
	}
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) {
		s.options.MinTLSVersion = tls.VersionTLS12
		s.options.Clients = ClientOptions{VerifyOptions: ca.options, AllowedNames: []string{"front-proxy", name}}
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for of, client := range clients {
			t.Run(tls.VersionName(version)+", "+of, func(t *testing.T) {
				want := map[uint16]string{tls.VersionTLS12: client.want12, tls.VersionTLS13: client.want13}[version]
				_, fault := site.asks(t, &tls.Config{MinVersion: version, MaxVersion: version, Certificates: client.certificates})
				if (fault == "") != (want == "") || !strings.Contains(fault, want) {
					t.Errorf("failed with %q, want %q", fault, want)
				}
			})
		}
	}
}

func TestWithoutAllowedNamesAnyNameThatTheCASignedMayAsk(t *testing.T) {
	ca := newTestCA(t, "front")
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) { s.options.Clients.VerifyOptions = ca.options })
	alice := ca.client(t, "alice", x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour))
	if _, fault := site.asks(t, &tls.Config{Certificates: []tls.Certificate{alice}}); fault != "" {
		t.Error(fault)
	}
}

func TestAClientOfAFormerCAMayNotEvenResumeItsSession(t *testing.T) {
	former, next := newTestCA(t, "former"), newTestCA(t, "next")
	var current atomic.Pointer[testCA]
	current.Store(former)
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) {
		s.options.Clients.VerifyOptions = func() (x509.VerifyOptions, bool) { return current.Load().options() }
	})
	config := &tls.Config{
		Certificates:       []tls.Certificate{former.client(t, "front", x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour))},
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	var resumed []bool
	for range 2 {
		config.VerifyConnection = func(state tls.ConnectionState) error {
			resumed = append(resumed, state.DidResume)
			return nil
		}
		if _, fault := site.asks(t, config); fault != "" {
			t.Fatal(fault)
		}
	}
	current.Store(next)
	// The server may hang up before the client has sent all, which then does not read why.
	if _, fault := site.asks(t, config); !strings.Contains(fault, "bad certificate") && !strings.Contains(fault, "broken pipe") && !strings.Contains(fault, "connection reset") {
		t.Errorf("with another CA the former client's fault is %q", fault)
	}
	if diff := cmp.Diff([]bool{false, true, true}, resumed); diff != "" {
		t.Errorf("sessions resumed (-want +got):\n%s", diff)
	}
}

func TestWhileTheCAsAreNotKnownNobodyMayAsk(t *testing.T) {
	ca := newTestCA(t, "front")
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) {
		s.options.Clients.VerifyOptions = func() (x509.VerifyOptions, bool) { return x509.VerifyOptions{}, false }
	})
	right := ca.client(t, "front", x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour))
	if _, fault := site.asks(t, &tls.Config{Certificates: []tls.Certificate{right}}); !strings.Contains(fault, "bad certificate") {
		t.Errorf("got %q", fault)
	}
}
