package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// backdate makes a certificate valid for an API server whose clock is behind.
const backdate = time.Hour

// lifetime is how long a certificate is valid when it is replaced every so
// often. cert-manager's DynamicSource renews when a third of the whole life is
// left, the backdated hour included; it follows that the shortest life is half
// an hour, so that no setting makes a clock's skew matter.
func lifetime(rotation time.Duration) time.Duration { return (3*rotation + backdate) / 2 }

// validity is the life of a certificate that is made now.
func validity(now time.Time, rotation time.Duration) (notBefore, notAfter time.Time) {
	return now.Add(-backdate), now.Add(lifetime(rotation))
}

// ca is a certificate authority.
type ca struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newCA(now time.Time, rotation time.Duration) (*ca, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of a CA: %w", err)
	}
	template := &x509.Certificate{
		// The time is for those who look at a bundle of two.
		Subject:               pkix.Name{CommonName: "berth-ca " + now.UTC().Format(time.RFC3339)},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
	}
	template.NotBefore, template.NotAfter = validity(now, rotation)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a CA: %w", err)
	}
	return &ca{cert: cert, key: key}, nil
}

// errNotValidYet is a CA that a replica has made whose clock is ahead.
var errNotValidYet = errors.New("the certificate is not valid yet by the clock of this machine: set the clocks of the nodes right")

// parseCA reads a CA that can sign now.
func parseCA(certPEM, keyPEM []byte, now time.Time) (*ca, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	switch {
	case !ok:
		return nil, fmt.Errorf("a key of type %T cannot sign", pair.PrivateKey)
	case pair.Leaf.CheckSignatureFrom(pair.Leaf) != nil:
		return nil, errors.New("the certificate is not that of a CA which signs itself")
	case now.Before(pair.Leaf.NotBefore):
		return nil, fmt.Errorf("%w: it is valid from %s on", errNotValidYet, pair.Leaf.NotBefore.Format(time.RFC3339))
	case now.After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("the certificate has expired at %s", pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	return &ca{cert: pair.Leaf, key: key}, nil
}

// issued is when the CA was made, by the clock of the replica that made it.
func (c *ca) issued() time.Time { return c.cert.NotBefore.Add(backdate) }

// due is when the CA has to have a successor: as often as it is to be rotated now and, should that be longer, when it was to
// be rotated at the time it was made, for its life was measured by that.
func (c *ca) due(rotation time.Duration) time.Time {
	made := (2*c.cert.NotAfter.Sub(c.issued()) - backdate) / 3 // lifetime, solved for the rotation
	return c.issued().Add(min(rotation, made))
}

func (c *ca) sign(template *x509.Certificate) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, template.PublicKey, c.key)
	if err != nil {
		return nil, fmt.Errorf("sign a serving certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

func (c *ca) keyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, fmt.Errorf("encode the key of the CA: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// bundle is certificates of CAs, the newest first.
type bundle []*x509.Certificate

// parseBundle accepts nothing but certificates.
func parseBundle(data []byte) (bundle, error) {
	var b bundle
	for rest := bytes.TrimSpace(data); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("not PEM")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		b = append(b, cert)
	}
	return b, nil
}

func (b bundle) pem() []byte {
	var out bytes.Buffer
	for _, cert := range b {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return out.Bytes()
}

func (b bundle) contains(cert *x509.Certificate) bool { return slices.ContainsFunc(b, cert.Equal) }
