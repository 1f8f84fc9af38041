package certs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// configuration is what matters here of a webhook configuration.
type configuration struct {
	kind, name, resourceVersion string
	hooks                       []hook
	managers                    []string // who has written any of its fields
}

// hook is one webhook: where the API server calls it, and whom it trusts there.
type hook struct {
	name, host string
	caBundle   []byte
}

func newHook(name string, client *admissionv1.WebhookClientConfig) hook {
	h := hook{name: name, caBundle: client.CABundle}
	if client.Service != nil {
		h.host = client.Service.Name + "." + client.Service.Namespace + ".svc"
	} else if client.URL != nil {
		// The API server has validated it.
		if address, err := url.Parse(*client.URL); err == nil {
			h.host = address.Hostname()
		}
	}
	return h
}

// newConfiguration takes what an informer brings.
func newConfiguration(object any) (*configuration, error) {
	switch o := object.(type) {
	case *admissionv1.MutatingWebhookConfiguration:
		c := &configuration{kind: "MutatingWebhookConfiguration", name: o.Name, resourceVersion: o.ResourceVersion, managers: managersOf(o)}
		for i := range o.Webhooks {
			c.hooks = append(c.hooks, newHook(o.Webhooks[i].Name, &o.Webhooks[i].ClientConfig))
		}
		return c, nil
	case *admissionv1.ValidatingWebhookConfiguration:
		c := &configuration{kind: "ValidatingWebhookConfiguration", name: o.Name, resourceVersion: o.ResourceVersion, managers: managersOf(o)}
		for i := range o.Webhooks {
			c.hooks = append(c.hooks, newHook(o.Webhooks[i].Name, &o.Webhooks[i].ClientConfig))
		}
		return c, nil
	}
	return nil, fmt.Errorf("%T is no webhook configuration", object)
}

func managersOf(object metav1.Object) []string {
	var managers []string
	for _, entry := range object.GetManagedFields() {
		managers = append(managers, entry.Manager)
	}
	return managers
}

// managerPrefix begins the name under which an installation writes caBundle.
const managerPrefix = fieldManager + "/"

// managerOf is another name for each CA: so each installation sees whose a
// configuration is. The API server takes 128 bytes.
func managerOf(namespace, secret string) string {
	name := managerPrefix + namespace + "/" + secret
	if len(name) > 128 {
		name = fmt.Sprintf("%s%x", managerPrefix, sha256.Sum256([]byte(name)))
	}
	return name
}

// ownedBy returns an error when another installation than the manager's keeps
// its CA in the configuration: two would overwrite each other for ever.
func (c *configuration) ownedBy(manager string) error {
	for _, other := range c.managers {
		if strings.HasPrefix(other, managerPrefix) && other != manager {
			return fmt.Errorf("%w: %s %s belongs to %s, and this one is %s: name configurations of its own with --webhook-configurations; "+
				"or, if the other is gone, delete this one and install it again", errOwned, c.kind, c.name,
				strings.TrimPrefix(other, managerPrefix), strings.TrimPrefix(manager, managerPrefix))
		}
	}
	return nil
}

// trusts says whether every webhook of the configuration has the CA in its bundle.
func (c *configuration) trusts(cert *x509.Certificate) bool {
	return !slices.ContainsFunc(c.hooks, func(h hook) bool {
		trusted, err := parseBundle(h.caBundle)
		return err != nil || !trusted.contains(cert)
	})
}

// verify does what the API server does with a serving certificate.
func (c *configuration) verify(leaf *x509.Certificate, options x509.VerifyOptions) error {
	for _, h := range c.hooks {
		options.Roots = x509.NewCertPool()
		options.Roots.AppendCertsFromPEM(h.caBundle)
		options.DNSName = h.host
		if _, err := leaf.Verify(options); err != nil {
			return fmt.Errorf("%s, webhook %s: %w", c.kind, h.name, err)
		}
	}
	return nil
}

// has says whether the configuration has exactly this caBundle everywhere.
func (c *configuration) has(caBundle []byte) bool {
	return !slices.ContainsFunc(c.hooks, func(h hook) bool { return !bytes.Equal(h.caBundle, caBundle) })
}

// applied is what server-side apply gets: the two fields that berth owns.
func (c *configuration) applied(caBundle []byte) ([]byte, error) {
	type clientConfig struct {
		CABundle []byte `json:"caBundle"`
	}
	type webhook struct {
		Name         string       `json:"name"`
		ClientConfig clientConfig `json:"clientConfig"`
	}
	object := struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        map[string]string `json:"metadata"`
		Webhooks        []webhook         `json:"webhooks"`
	}{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: c.kind},
		// The version makes the write fail when another replica has written meanwhile.
		Metadata: map[string]string{"name": c.name, "resourceVersion": c.resourceVersion},
	}
	for _, h := range c.hooks {
		object.Webhooks = append(object.Webhooks, webhook{h.name, clientConfig{caBundle}})
	}
	return json.Marshal(object)
}

// source is one of the configurations that an installation may have.
type source struct {
	resource string
	object   runtime.Object
	// suffix is what its name has behind that of the installation.
	suffix string
	// required says that every installation has it.
	required bool
}

// sources are all of them. What an installation need not have is an object of its own: a webhook that Helm takes out of an
// object would stay there, with the caBundle that is berth's.
var sources = [...]source{
	{mutatingResource, &admissionv1.MutatingWebhookConfiguration{}, "", true},
	{validatingResource, &admissionv1.ValidatingWebhookConfiguration{}, "", true},
	{validatingResource, &admissionv1.ValidatingWebhookConfiguration{}, "-policies", false},
	{mutatingResource, &admissionv1.MutatingWebhookConfiguration{}, systemSuffix, false},
	{validatingResource, &admissionv1.ValidatingWebhookConfiguration{}, systemSuffix, false},
}

const (
	systemSuffix       = "-system"
	mutatingResource   = "mutatingwebhookconfigurations"
	validatingResource = "validatingwebhookconfigurations"
)

// view is the configurations at one moment, as in sources; nil: there is none.
type view [len(sources)]*configuration

// publication is the webhook configurations, by which the API server learns
// whom to trust.
type publication struct {
	client  rest.Interface
	manager string // under which caBundle is written

	mu   sync.Mutex
	seen view
}

func (p *publication) saw(which int, c *configuration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[which] = c
}

func (p *publication) view() view {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// publish writes the bundle into one configuration.
func (p *publication) publish(ctx context.Context, which int, c *configuration, caBundle []byte) error {
	body, err := c.applied(caBundle)
	if err != nil {
		return fmt.Errorf("encode %s %s: %w", c.kind, c.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = p.client.Patch(types.ApplyPatchType).Resource(sources[which].resource).Name(c.name).
		Param("fieldManager", p.manager).Param("force", "true").Body(body).Do(ctx).Error()
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return errLater
	case err != nil:
		return fmt.Errorf("write caBundle into %s %s: %w", c.kind, c.name, err)
	}
	return nil
}

// complete says what is missing of the configurations that every installation has.
func (v view) complete() error {
	for which, c := range v {
		if c == nil && sources[which].required {
			return errIncomplete
		}
	}
	return nil
}

// trusts says whether all configurations that exist trust the CA.
func (v view) trusts(cert *x509.Certificate) bool {
	return !slices.ContainsFunc(v[:], func(c *configuration) bool { return c != nil && !c.trusts(cert) })
}

// published says whether anybody is trusted.
func (v view) published() bool {
	return slices.ContainsFunc(v[:], func(c *configuration) bool {
		return c != nil && slices.ContainsFunc(c.hooks, func(h hook) bool { return len(h.caBundle) > 0 })
	})
}

// hosts is the names under which the API server calls berth, sorted.
func (v view) hosts() []string {
	var hosts []string
	for _, c := range v {
		if c == nil {
			continue
		}
		for _, h := range c.hooks {
			hosts = append(hosts, h.host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
