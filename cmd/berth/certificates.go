package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"berth.dev/berth/certs"
)

// The defaults of a self-managed certificate: it is valid for six days, and the
// CA for a year.
const (
	servingRotation = 4 * 24 * time.Hour
	caRotation      = 240 * 24 * time.Hour
)

// The least that leaves the steps of a rotation their time.
const (
	minServingRotation = time.Second
	minCARotation      = 40 * time.Second
)

// podNamespaceFile is where a Pod finds the name of its namespace.
const podNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// certificateSource is a source that can say why it is not ready.
type certificateSource interface {
	certs.Source
	Ready(*http.Request) error
}

// selfManagedOptions is the flags of a certificate that berth manages itself.
type selfManagedOptions struct {
	caSecret, configurations    string
	caRotation, servingRotation time.Duration
}

func (o *selfManagedOptions) flagGroup() flagGroup {
	group := newFlagGroup("Self-managed certificate (without --tls-cert-file)")
	group.flags.StringVar(&o.caSecret, "ca-secret", "berth-ca", "`[namespace/]name` of the Secret with the CA (default namespace: the Pod's own)")
	group.flags.StringVar(&o.configurations, "webhook-configurations", "berth", "`name` of the mutating and of the validating webhook configuration, into which berth writes caBundle, and into NAME-policies and NAME-system")
	group.flags.DurationVar(&o.servingRotation, "serving-certificate-rotation", servingRotation, "how often to replace the serving certificate")
	group.flags.DurationVar(&o.caRotation, "ca-rotation", caRotation, "how often to replace the CA; the old one stays trusted for half as long")
	return group
}

// newCertificateSource serves the files that the flags name or, without any,
// berth's own certificate.
func newCertificateSource(o *serveOptions, config *rest.Config, log *slog.Logger) (certificateSource, error) {
	if o.certFile != "" {
		source, err := certs.NewFileSource(o.certFile, o.keyFile, log)
		if err != nil {
			return nil, fmt.Errorf("%w\nSay with --tls-cert-file and --tls-private-key-file where the pair is", err)
		}
		return source, nil
	}
	own := &o.selfManaged
	if own.caRotation < minCARotation || own.servingRotation < minServingRotation {
		return nil, fmt.Errorf("--ca-rotation must be at least %s and --serving-certificate-rotation at least %s", minCARotation, minServingRotation)
	}
	namespace, secret, err := splitSecret(own.caSecret)
	if err != nil {
		return nil, err
	}
	return certs.NewSelfManaged(config, certs.Options{
		Namespace:       namespace,
		Secret:          secret,
		Configurations:  own.configurations,
		SystemTier:      o.excluded.SystemTier,
		CARotation:      own.caRotation,
		ServingRotation: own.servingRotation,
		Logger:          logr.FromSlogHandler(log.Handler()),
	})
}

// splitSecret reads [namespace/]name.
func splitSecret(flag string) (namespace, name string, err error) {
	namespace, name, found := strings.Cut(flag, "/")
	if !found {
		name = namespace
		namespace, err = podNamespace()
		if errors.Is(err, os.ErrNotExist) {
			return "", "", errors.New("berth does not run in a Pod: say with --ca-secret NAMESPACE/NAME where the CA is kept, " +
				"or with --tls-cert-file and --tls-private-key-file which certificate to serve")
		}
		if err != nil {
			return "", "", err
		}
	}
	if namespace == "" || name == "" {
		return "", "", fmt.Errorf("--ca-secret=%s: must be NAMESPACE/NAME", flag)
	}
	return namespace, name, nil
}

// podNamespace returns the namespace of the Pod that this process is.
func podNamespace() (string, error) {
	own, err := os.ReadFile(podNamespaceFile)
	if err != nil {
		return "", fmt.Errorf("find the Pod's namespace: %w", err)
	}
	return strings.TrimSpace(string(own)), nil
}
