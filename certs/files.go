package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// pollInterval is how soon a changed file is served. A kubelet takes up to a
// minute or so to bring a changed Secret to a pod, so nothing faster is worth a
// file watch, and polling sees every kind of change: a file written in place, a
// rename, the symlink swap of a mounted Secret.
const pollInterval = 2 * time.Second

// FileSource serves the certificate in a pair of PEM files, and serves a new one
// soon after the files change. As long as the files are no valid pair, the last
// good one stays.
//
// It exists because cert-manager's FileCertificateSource ends the process at the
// twelfth failed read of its life and is read without its lock, and because
// controller-runtime's certwatcher reports every half-written pair.
type FileSource struct {
	certPath, keyPath string
	log               *slog.Logger

	serving  atomic.Pointer[tls.Certificate]
	last     pair  // what was read last, good or not
	lastErr  error // what was wrong with it
	reported bool  // whether the log says so
}

// pair is the contents of the two files.
type pair struct{ cert, key []byte }

func (p pair) equal(q pair) bool { return bytes.Equal(p.cert, q.cert) && bytes.Equal(p.key, q.key) }

// NewFileSource reads the pair for the first time. That it can be read is
// checked here, so that a wrong path is found at the start and not by the first
// client.
func NewFileSource(certPath, keyPath string, log *slog.Logger) (*FileSource, error) {
	s := &FileSource{
		certPath: certPath,
		keyPath:  keyPath,
		log:      log.With("cert", certPath, "key", keyPath),
	}
	s.reload()
	if s.lastErr != nil {
		return nil, fmt.Errorf("load the serving certificate: %w", s.lastErr)
	}
	return s, nil
}

// GetCertificate implements tls.Config.GetCertificate. It takes no lock.
func (s *FileSource) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cert := s.serving.Load(); cert != nil {
		return cert, nil
	}
	return nil, errors.New("no serving certificate is loaded")
}

// Healthy is true when there is a certificate to serve.
func (s *FileSource) Healthy() bool { return s.serving.Load() != nil }

// Ready is a readiness check: there is always a certificate to serve, for
// without one there is no source.
func (s *FileSource) Ready(*http.Request) error { return nil }

// Start reads the files again and again until the context ends.
func (s *FileSource) Start(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.poll()
		}
	}
}

// NeedLeaderElection tells controller-runtime's manager that every replica
// serves.
func (s *FileSource) NeedLeaderElection() bool { return false }

// poll reports a bad pair at the second sight of it: two files cannot be
// replaced at once, so the first may be half of a change. It reports it once.
func (s *FileSource) poll() {
	if changed := s.reload(); changed || s.lastErr == nil || s.reported {
		return
	}
	s.reported = true
	s.log.Error("The certificate files are not a valid pair: the last good certificate is still served. "+
		"Put the certificate chain and its own private key there, both in PEM form", "err", s.lastErr)
}

// reload reads the files and says whether they, or what is wrong with them,
// changed.
func (s *FileSource) reload() (changed bool) {
	read, err := s.read()
	if err == nil && s.lastErr == nil && read.equal(s.last) {
		return false
	}
	var cert tls.Certificate
	if err == nil {
		cert, err = tls.X509KeyPair(read.cert, read.key)
	}
	if err != nil {
		changed = !read.equal(s.last) || s.lastErr == nil || err.Error() != s.lastErr.Error()
		s.reported = s.reported && !changed
		s.last, s.lastErr = read, err
		return changed
	}
	s.last, s.lastErr, s.reported = read, nil, false
	s.serving.Store(&cert)
	observeExpiry(servingCertificate, cert.Leaf)
	s.logLoaded(cert.Leaf)
	return true
}

func (s *FileSource) read() (pair, error) {
	cert, err := os.ReadFile(s.certPath)
	if err != nil {
		return pair{}, err
	}
	key, err := os.ReadFile(s.keyPath)
	return pair{cert: cert, key: key}, err
}

func (s *FileSource) logLoaded(leaf *x509.Certificate) {
	fields := []any{"subject", leaf.Subject.String(), "dnsNames", leaf.DNSNames, "notAfter", leaf.NotAfter}
	if time.Now().After(leaf.NotAfter) {
		s.log.Error("The serving certificate has expired: the API server will refuse it. Renew it", fields...)
		return
	}
	s.log.Info("Serving certificate loaded", fields...)
}
