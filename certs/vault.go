package certs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// patience is how long a replica that knows no CA waits for one that does to
// repair the Secret, before it makes a new one.
const patience = 2 * time.Second

// vault is the Secret with the CA. All replicas write it, and the API server's
// optimistic concurrency lets one win: so there is one CA.
type vault struct {
	secrets  corev1client.SecretInterface
	name     string
	rotation time.Duration
	now      func() time.Time
	log      logr.Logger

	mu     sync.Mutex
	secret *corev1.Secret // as seen last; nil: there is none

	// The rest belongs to the goroutine that calls ensure.

	// known is the last good content, which repairs the Secret.
	known *trust
	// brokenSince is when the Secret was first seen to be of no use.
	brokenSince time.Time
	// superseded is when each CA that no longer signs was first seen, by what is
	// encoded in it.
	superseded map[string]time.Time
}

// saw takes over what the informer or a write has brought.
func (v *vault) saw(secret *corev1.Secret) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.secret = secret
}

func (v *vault) last() *corev1.Secret {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.secret
}

// ensure brings the Secret in order and returns what it holds. published says
// that some API server trusts a CA already, so that some replica may know it.
func (v *vault) ensure(ctx context.Context, published bool) (*trust, error) {
	secret := v.last()
	if secret == nil {
		var err error
		if secret, err = v.create(ctx); err != nil {
			return nil, err
		}
	}
	stored, broken := readTrust(secret.Data, v.now())
	wanted, reason, err := v.want(stored, broken, published)
	if err != nil {
		return nil, err
	}
	if reason != "" {
		if err := v.write(ctx, secret, wanted); err != nil {
			return nil, err
		}
		v.log.Info("CA Secret written", "reason", reason, "signer", wanted.signer.cert.Subject.CommonName,
			"notAfter", wanted.signer.cert.NotAfter, "trusted", len(wanted.bundle))
	}
	v.known = wanted
	return wanted, nil
}

// want is what the Secret should hold, and the reason when it does not.
func (v *vault) want(stored *trust, broken error, published bool) (wanted *trust, reason string, err error) {
	now := v.now()
	wanted, reason, err = v.repair(stored, broken, published)
	if err != nil {
		return nil, "", err
	}
	if !now.Before(wanted.signer.due(v.rotation)) {
		next, err := newCA(now, v.rotation)
		if err != nil {
			return nil, "", err
		}
		wanted, reason = wanted.succeed(next), "rotation: a new CA, trusted beside the old one"
	}
	if kept := v.retire(wanted); len(kept) < len(wanted.bundle) {
		wanted = &trust{signer: wanted.signer, bundle: kept}
		if reason == "" {
			reason = "the old CA is retired"
		}
	}
	return wanted, reason, nil
}

// repair returns the stored content, the known one when that is of no use, or a
// new CA when there is neither.
func (v *vault) repair(stored *trust, broken error, published bool) (*trust, string, error) {
	now := v.now()
	if broken == nil {
		v.brokenSince = time.Time{}
		if v.known == nil || stored.bundle.contains(v.known.signer.cert) {
			return stored, "", nil
		}
		// Somebody has put another CA there, such as one of a backup. What we serve
		// must be trusted until we have moved.
		stored.bundle = append(stored.bundle, v.known.signer.cert)
		return stored, "another CA has been stored: the one before stays trusted for a while", nil
	}
	if v.known != nil && now.Before(v.known.signer.cert.NotAfter) {
		if errors.Is(broken, errNotValidYet) {
			// Who has written it would write it again: what we serve stays until then.
			return nil, "", fmt.Errorf("a CA in the Secret %s is of no use yet: %w", v.name, broken)
		}
		return v.known, "repair: " + broken.Error(), nil
	}
	if v.brokenSince.IsZero() {
		v.brokenSince = now
	}
	if published && now.Sub(v.brokenSince) < patience {
		return nil, "", errLater
	}
	first, err := newCA(now, v.rotation)
	if err != nil {
		return nil, "", err
	}
	return &trust{signer: first, bundle: bundle{first.cert}}, "a new CA: " + broken.Error(), nil
}

// retire returns the bundle without the CAs that no replica can have a
// certificate of any more.
func (v *vault) retire(t *trust) bundle {
	now := v.now()
	seen := map[string]time.Time{}
	kept := t.bundle[:1:1]
	for _, cert := range t.bundle[1:] {
		since, ok := v.superseded[string(cert.Raw)]
		if !ok {
			since = now
		}
		// By the clock of the one that made the successor, and by our own.
		overlapped := !now.Before(t.signer.issued().Add(v.rotation/2)) && now.Sub(since) >= 3*settle
		if overlapped || now.After(cert.NotAfter) {
			continue
		}
		seen[string(cert.Raw)] = since
		kept = append(kept, cert)
	}
	v.superseded = seen
	return kept
}

// create makes an empty Secret. Server-side apply is the one way to create a
// single name with the right to create that name and no other; as it is empty,
// it does no harm when another replica was faster.
func (v *vault) create(ctx context.Context) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	empty := corev1ac.Secret(v.name, "").WithLabels(map[string]string{"app.kubernetes.io/name": "berth"})
	empty.Namespace = nil // the client knows it
	created, err := v.secrets.Apply(ctx, empty, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return nil, fmt.Errorf("create the Secret %s, which the chart makes: %w", v.name, err)
	}
	v.saw(created)
	return created, nil
}

func (v *vault) write(ctx context.Context, secret *corev1.Secret, wanted *trust) error {
	data, err := wanted.data()
	if err != nil {
		return err
	}
	changed := secret.DeepCopy()
	if changed.Data == nil {
		changed.Data = map[string][]byte{}
	}
	maps.Copy(changed.Data, data)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	updated, err := v.secrets.Update(ctx, changed, metav1.UpdateOptions{FieldManager: fieldManager})
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return errLater
	case err != nil:
		return fmt.Errorf("write the CA into the Secret %s: %w", v.name, err)
	}
	v.saw(updated)
	return nil
}

// current says whether the Secret as seen last is what the API server has now.
func (v *vault) current(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	live, err := v.secrets.Get(ctx, v.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the Secret %s: %w", v.name, err)
	}
	last := v.last()
	return last != nil && last.ResourceVersion == live.ResourceVersion, nil
}
