package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/e2e/testbed"
)

// clientPair is a CA and a certificate of it for an API server, as docs/security.md makes them.
type clientPair struct{ ca, cert, key string }

func newClientPair(t *testing.T, commonName string) clientPair {
	t.Helper()
	dir := t.TempDir()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "admission-ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, ca := newPair(t, template, template, nil)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: commonName}, NotBefore: template.NotBefore, NotAfter: template.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	key, cert := newPair(t, leaf, template, caKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := clientPair{filepath.Join(dir, "ca.crt"), filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")}
	for file, block := range map[string]*pem.Block{
		p.ca: {Type: "CERTIFICATE", Bytes: ca}, p.cert: {Type: "CERTIFICATE", Bytes: cert}, p.key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func newPair(t *testing.T, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (key *ecdsa.PrivateKey, der []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	if der, err = x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer); err != nil {
		t.Fatal(err)
	}
	return key, der
}

// The user is * because here the API server calls an address; docs/security.md names the Service.
const (
	webhookKubeconfig = `{apiVersion: v1, kind: Config, users: [{name: "*", user: {client-certificate: %q, client-key: %q}}]}`
	admissionConfig   = `
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: MutatingAdmissionWebhook
    configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: %[1]q}
  - name: ValidatingAdmissionWebhook
    configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: %[1]q}
`
)

func TestWithAClientCAOnlyTheAPIServerIsAnswered(t *testing.T) {
	mine := newClientPair(t, "kube-apiserver-admission")
	dir := t.TempDir()
	kubeconfig, config := filepath.Join(dir, "webhooks.kubeconfig"), filepath.Join(dir, "config.yaml")
	for file, content := range map[string]string{
		kubeconfig: fmt.Sprintf(webhookKubeconfig, mine.cert, mine.key), config: fmt.Sprintf(admissionConfig, kubeconfig),
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own := startControlPlane(t, "--admission-control-config-file="+config)
	// Returns when the API server has called both webhooks.
	guarded, err := own.StartBerth(t.Context(), testbed.BerthOptions{
		Binary: berth.Binary, Args: []string{"--client-ca-file=" + mine.ca, "--client-allowed-names=kube-apiserver-admission"},
	})
	if err != nil {
		t.Fatal(err)
	}

	foreign, wrong := newClientPair(t, "kube-apiserver-admission"), newClientPair(t, "somebody")
	for name, pair := range map[string]*clientPair{"without a certificate": nil, "with one of another CA": &foreign, "with one of another CA and name": &wrong} {
		client := berthClient(t, guarded.CABundle)
		if pair != nil {
			certificate, err := tls.LoadX509KeyPair(pair.cert, pair.key)
			if err != nil {
				t.Fatal(err)
			}
			client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{certificate}
		}
		response, err := client.Post("https://"+guarded.Address+mutatePath, "application/json", strings.NewReader("{}"))
		if err == nil {
			_ = response.Body.Close()
			t.Errorf("%s: answered %s", name, response.Status)
		} else if !strings.Contains(err.Error(), "tls: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
