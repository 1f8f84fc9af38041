package certs

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// bundleKey is where a Secret has the certificates to trust; tls.crt and tls.key
// are the CA that signs.
const bundleKey = "ca.crt"

// trust is what the Secret holds: the CA that signs, and all that the API server
// has to trust while replicas move from one CA to the next.
type trust struct {
	signer *ca
	bundle bundle // the signer's certificate first
}

// readTrust reads a Secret, or says what is wrong with it.
func readTrust(data map[string][]byte, now time.Time) (*trust, error) {
	if len(data[corev1.TLSCertKey])+len(data[corev1.TLSPrivateKeyKey]) == 0 {
		return nil, errors.New("there is no CA in it")
	}
	signer, err := parseCA(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey], now)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	trusted, err := parseBundle(data[bundleKey])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", bundleKey, err)
	}
	if len(trusted) == 0 || !trusted[0].Equal(signer.cert) {
		return nil, fmt.Errorf("%s does not begin with %s", bundleKey, corev1.TLSCertKey)
	}
	return &trust{signer: signer, bundle: trusted}, nil
}

// data is what readTrust reads.
func (t *trust) data() (map[string][]byte, error) {
	key, err := t.signer.keyPEM()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		corev1.TLSCertKey:       bundle{t.signer.cert}.pem(),
		corev1.TLSPrivateKeyKey: key,
		bundleKey:               t.bundle.pem(),
	}, nil
}

// succeed makes a new CA the signer. The former ones stay trusted.
func (t *trust) succeed(signer *ca) *trust {
	return &trust{signer: signer, bundle: append(bundle{signer.cert}, t.bundle...)}
}
