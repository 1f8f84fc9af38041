package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// fieldManager owns what berth writes here.
	fieldManager = "berth-certs"
	// settle is how long a new CA is published before a certificate of it is
	// served: every API server has to hear of it, each by a watch of its own.
	settle = 10 * time.Second
	// recentlyIssued is the age up to which a CA may be news to an API server, by
	// clocks that may differ by minutes.
	recentlyIssued = 15 * time.Minute
	// callTimeout bounds one call of the API server.
	callTimeout = 5 * time.Second
	// lookEvery is how often an authority looks after itself when no event makes it.
	lookEvery = 5 * time.Second
	// retryEvery is how often it looks while something is left to do.
	retryEvery = 500 * time.Millisecond
	// signEvery is how often a certificate is asked for that cannot be had yet.
	signEvery = 200 * time.Millisecond
)

// What an Authority waits for.
var (
	errUnheard    = errors.New("the API server has not been heard of yet")
	errIncomplete = errors.New("the two webhook configurations do not both exist yet")
	errSettling   = errors.New("some API server may not know the new CA yet")
	errOwned      = errors.New("another installation of berth writes caBundle here")
	errLater      = errors.New("the configurations do not trust the CA yet, or another replica is at it")
)

// Authority is the one CA of all replicas. It keeps it in a Secret, gets the API
// server to trust it, and replaces it in four steps that any replica can take
// and all see: publish the old and the new one, let that settle, sign with the
// new one, retire the old one.
//
// It is an authority for cert-manager's DynamicSource. cert-manager's own allows
// no two CAs at a time, and never writes caBundle.
type Authority struct {
	vault     vault
	published publication
	watch     func(ctx context.Context, wake func())
	leaf      time.Duration // how often a serving certificate is replaced
	now       func() time.Time
	log       logr.Logger
	wake      chan struct{} // of one place

	// Of Run's goroutine alone.
	trustedSince time.Time // since when both configurations trust the next signer
	complaint    string    // what was wrong at the last look

	mu       sync.Mutex
	signer   *ca
	hosts    []string // which the last serving certificate is for
	watchers []chan<- struct{}
	waiting  error // why there is no signer yet
}

// Run looks after the CA until the context ends. Nothing that goes wrong ends it.
func (a *Authority) Run(ctx context.Context) error {
	a.watch(ctx, a.look)
	for ctx.Err() == nil {
		next := lookEvery
		if err := a.step(ctx); err != nil {
			a.complain(ctx, err)
			next = retryEvery
		} else {
			a.complaint = ""
		}
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-time.After(next):
		}
	}
	return nil
}

// look wakes Run.
func (a *Authority) look() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// step does what can be done now, and says what is left.
func (a *Authority) step(ctx context.Context) error {
	seen := a.published.view()
	trusted, err := a.vault.ensure(ctx, seen.published())
	if err == nil {
		observeExpiry(caCertificate, trusted.signer.cert)
		err = a.publish(ctx, seen, trusted.bundle)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		err = a.adopt(seen, trusted)
	}
	a.waiting = err
	return err
}

// publish writes the bundle into the configurations that have another one. A
// replica that has not heard of a newer bundle must not bring the old one back:
// so the Secret is read between what was seen and what is written.
func (a *Authority) publish(ctx context.Context, seen view, trusted bundle) error {
	caBundle := trusted.pem()
	var errs []error
	for which, c := range seen {
		if c == nil || c.has(caBundle) {
			continue
		}
		if err := c.ownedBy(a.published.manager); err != nil {
			errs = append(errs, err)
			continue
		}
		current, err := a.vault.current(ctx)
		if err == nil && !current {
			err = errLater
		}
		if err == nil {
			err = a.published.publish(ctx, which, c, caBundle)
		}
		if err == nil {
			a.log.Info("caBundle written", "kind", c.kind, "name", c.name, "trusted", len(trusted))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// adopt makes the stored CA the signer once both configurations have trusted it
// for long enough, and says why that is not so yet. It needs the lock.
func (a *Authority) adopt(seen view, trusted *trust) error {
	if a.signer == nil {
		if err := seen.complete(); err != nil {
			return err
		}
	}
	next := trusted.signer
	if !seen.trusts(next.cert) {
		a.trustedSince = time.Time{}
		return errLater // The event of what has just been published is on the way.
	}
	if a.signer != nil && a.signer.cert.Equal(next.cert) {
		if hosts := seen.hosts(); len(hosts) > 0 && a.hosts != nil && !slices.Equal(hosts, a.hosts) {
			a.notify()
		}
		return nil
	}
	now := a.now()
	if a.trustedSince.IsZero() {
		a.trustedSince = now
	}
	// Where no other CA was trusted before, there is nothing to keep working.
	news := len(trusted.bundle) > 1 && now.Sub(next.issued()).Abs() < recentlyIssued
	if (news || a.signer != nil) && now.Sub(a.trustedSince) < settle {
		return errSettling
	}
	if a.signer != nil { // The first certificate has been asked for already.
		a.notify()
	}
	a.signer, a.trustedSince = next, time.Time{}
	return nil
}

// notify tells the watchers to ask for a new certificate. It needs the lock.
func (a *Authority) notify() {
	for _, watcher := range a.watchers {
		select {
		case watcher <- struct{}{}:
		default:
		}
	}
}

// WatchRotation makes the channel hear of every change after which a certificate
// should be asked for.
func (a *Authority) WatchRotation(watcher chan<- struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers = append(a.watchers, watcher)
}

// StopWatchingRotation undoes WatchRotation.
func (a *Authority) StopWatchingRotation(watcher chan<- struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers = slices.DeleteFunc(a.watchers, func(w chan<- struct{}) bool { return w == watcher })
}

// Sign signs a serving certificate for the names by which the API server calls
// berth, and gives it away only when both configurations trust it as it is.
func (a *Authority) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signer == nil {
		return nil, authority.ErrCertificateNotAvailable
	}
	seen := a.published.view()
	hosts := seen.hosts()
	if len(hosts) == 0 {
		hosts = a.hosts
	}
	template.DNSNames, template.IPAddresses = nil, nil
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	now := a.now()
	template.NotBefore, template.NotAfter = validity(now, a.leaf)
	leaf, err := a.signer.sign(template)
	if err != nil {
		return nil, err
	}
	for _, c := range seen {
		if c == nil {
			continue
		}
		if err := c.verify(leaf, x509.VerifyOptions{CurrentTime: now}); err != nil {
			a.look()
			return nil, fmt.Errorf("%w: %w", authority.ErrCertificateNotAvailable, err)
		}
	}
	a.hosts = hosts
	observeExpiry(servingCertificate, leaf)
	a.log.Info("Serving certificate signed", "hosts", hosts, "notAfter", leaf.NotAfter, "signer", leaf.Issuer.CommonName)
	return leaf, nil
}

// Ready says why there is nothing to sign with yet.
func (a *Authority) Ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signer == nil {
		return fmt.Errorf("no CA to sign the serving certificate yet: %w", a.waiting)
	}
	return nil
}

// complain logs what hinders, once.
func (a *Authority) complain(ctx context.Context, err error) {
	if errors.Is(err, errLater) || ctx.Err() != nil || err.Error() == a.complaint {
		return
	}
	a.complaint = err.Error()
	switch {
	case errors.Is(err, errSettling), errors.Is(err, errIncomplete):
		a.log.Info("Waiting", "why", err.Error())
		return
	case apierrors.IsForbidden(err):
		err = fmt.Errorf("berth lacks a right that the chart gives it with certs.source=self-managed: %w", err)
	}
	a.log.Error(err, "Cannot look after the CA, trying again")
}
