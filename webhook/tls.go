package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// cipherSuites are for TLS 1.2: forward secrecy and authenticated encryption only. Those of TLS 1.3 all have both.
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// ClientOptions says who may ask. The zero value is anybody: what berth answers is no secret, and an answer changes nothing.
type ClientOptions struct {
	// VerifyOptions returns the CAs of the moment that a client's certificate has to be signed by, with what else is
	// demanded of it. False means that they are not known.
	VerifyOptions func() (x509.VerifyOptions, bool)
	// AllowedNames are the common names that a certificate may be for; none: any.
	AllowedNames []string
}

func (s *Server) tlsConfig() *tls.Config {
	config := &tls.Config{
		GetCertificate: s.options.GetCertificate,
		MinVersion:     s.options.MinTLSVersion,
		CipherSuites:   cipherSuites,
		NextProtos:     []string{"http/1.1"},
	}
	if s.options.Clients.VerifyOptions != nil {
		config.ClientAuth = tls.RequireAnyClientCert
		// Unlike crypto/tls's own verification, this one is also asked when a session is resumed, and so a CA that is
		// trusted no more lets nobody in.
		config.VerifyConnection = s.options.Clients.verify
	}
	return config
}

// verify does what kube-apiserver does with a front proxy's certificate.
func (o *ClientOptions) verify(state tls.ConnectionState) error {
	options, known := o.VerifyOptions()
	if !known || len(state.PeerCertificates) == 0 {
		return errors.New("the client's certificate cannot be verified")
	}
	client := state.PeerCertificates[0]
	options.Intermediates = x509.NewCertPool()
	for _, intermediate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(intermediate)
	}
	if _, err := client.Verify(options); err != nil {
		return fmt.Errorf("the client's certificate: %w", err)
	}
	if name := client.Subject.CommonName; len(o.AllowedNames) > 0 && !slices.Contains(o.AllowedNames, name) {
		return fmt.Errorf("the client's certificate is for %q, which is not an allowed name", name)
	}
	return nil
}
