package testbed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// lifetime of what is signed here: longer than any run, short enough to be worth nothing afterwards.
const lifetime = 7 * 24 * time.Hour

// authority signs the certificates of one run and writes them into one folder.
type authority struct {
	dir    string
	name   string
	cert   *x509.Certificate
	key    crypto.Signer
	bundle []byte // the CA certificate, PEM
}

// pair is a certificate and its key, as files.
type pair struct{ cert, key string }

func newAuthority(dir, name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(pkix.Name{CommonName: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the CA %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{dir: dir, name: name, cert: cert, key: key, bundle: encode("CERTIFICATE", der)}
	return a, os.WriteFile(a.file(), a.bundle, 0o600)
}

// file is the CA certificate's.
func (a *authority) file() string { return filepath.Join(a.dir, a.name+"-ca.crt") }

// server signs a certificate for 127.0.0.1, and for the address at which pods find the API server.
func (a *authority) server(name string) (pair, error) {
	template := certificate(pkix.Name{CommonName: name})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(apiService)}
	template.DNSNames = []string{"localhost"}
	return a.sign(name, template)
}

// client signs a certificate for a Kubernetes user and groups.
func (a *authority) client(file, user string, groups ...string) (pair, error) {
	template := certificate(pkix.Name{CommonName: user, Organization: groups})
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(file, template)
}

func (a *authority) sign(name string, template *x509.Certificate) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return pair{}, fmt.Errorf("sign %s: %w", name, err)
	}
	files := pair{cert: filepath.Join(a.dir, name+".crt"), key: filepath.Join(a.dir, name+".key")}
	if err := os.WriteFile(files.cert, encode("CERTIFICATE", der), 0o600); err != nil {
		return pair{}, err
	}
	return files, writeKey(files.key, key)
}

// serviceAccountKey writes the key that signs the tokens, and its public half.
func (a *authority) serviceAccountKey() (public, private string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", "", err
	}
	public, private = filepath.Join(a.dir, "sa.pub"), filepath.Join(a.dir, "sa.key")
	if err := os.WriteFile(public, encode("PUBLIC KEY", der), 0o600); err != nil {
		return "", "", err
	}
	return public, private, writeKey(private, key)
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, encode("EC PRIVATE KEY", der), 0o600)
}

// certificate leaves the serial number to x509, which draws one.
func certificate(subject pkix.Name) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:   subject,
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(lifetime),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writeKubeconfig writes a kubeconfig with one context, everything inside it.
func (cp *ControlPlane) writeKubeconfig(file string, user *clientcmdapi.AuthInfo) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["berth"] = &clientcmdapi.Cluster{Server: cp.server, CertificateAuthorityData: cp.certs.bundle}
	config.AuthInfos["berth"] = user
	config.Contexts["berth"] = &clientcmdapi.Context{Cluster: "berth", AuthInfo: "berth"}
	config.CurrentContext = "berth"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// certificateKubeconfig signs a client certificate and writes the kubeconfig that uses it.
func (cp *ControlPlane) certificateKubeconfig(name, user string, groups ...string) error {
	files, err := cp.certs.client(name, user, groups...)
	if err != nil {
		return err
	}
	cert, err := os.ReadFile(files.cert)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(files.key)
	if err != nil {
		return err
	}
	info := &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	return cp.writeKubeconfig(cp.kubeconfigOf(name), info)
}

func (cp *ControlPlane) kubeconfigOf(name string) string { return cp.path(name + ".kubeconfig") }
