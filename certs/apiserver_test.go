package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/certs"
	"berth.dev/berth/e2e/apiserver"
)

func TestMain(m *testing.M) { apiserver.Main(m) }

// installation is what the chart makes for berth in a cluster.
type installation struct {
	name   string // of everything
	config *rest.Config
	client kubernetes.Interface
}

// install makes an empty Secret and two configurations without caBundle.
func install(t *testing.T, name string) *installation {
	t.Helper()
	config := apiserver.Config(t)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{name: name, config: config, client: client}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	in.configure(t)
	return in
}

// configure makes the configurations, of names that no other test has.
func (in *installation) configure(t *testing.T) {
	t.Helper()
	none := admissionv1.SideEffectClassNone
	call := admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Name: in.name, Namespace: "default"}}
	mutating := &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: in.name},
		Webhooks:   []admissionv1.MutatingWebhook{{Name: "mutate.berth.dev", ClientConfig: call, SideEffects: &none, AdmissionReviewVersions: []string{"v1"}}},
	}
	validating := &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: in.name},
		Webhooks:   []admissionv1.ValidatingWebhook{{Name: "validate.berth.dev", ClientConfig: call, SideEffects: &none, AdmissionReviewVersions: []string{"v1"}}},
	}
	if _, err := in.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), mutating, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := in.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), validating, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.unconfigure(context.Background()) })
}

func (in *installation) unconfigure(ctx context.Context) {
	// One of the two may be gone already: that is what some tests do.
	_ = in.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(ctx, in.name, metav1.DeleteOptions{})
	_ = in.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, in.name, metav1.DeleteOptions{})
}

// replica runs a source until the test ends.
func (in *installation) replica(t *testing.T, edit func(*certs.Options)) *certs.SelfManaged {
	t.Helper()
	options := certs.Options{
		Namespace:       "default",
		Secret:          in.name,
		Configurations:  in.name,
		CARotation:      time.Hour,
		ServingRotation: time.Hour,
		Logger:          logr.Discard(),
	}
	edit(&options)
	source, err := certs.NewSelfManaged(in.config, options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the source ended with: %v", err)
		}
	})
	return source
}

func unchanged(*certs.Options) {}

// bundles is what both configurations publish.
func (in *installation) bundles(t *testing.T) [2]string {
	t.Helper()
	mutating, err := in.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), in.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	validating, err := in.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), in.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return [2]string{string(mutating.Webhooks[0].ClientConfig.CABundle), string(validating.Webhooks[0].ClientConfig.CABundle)}
}

func (in *installation) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := in.client.CoreV1().Secrets("default").Get(t.Context(), in.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// trusted does what an API server with a clock that is off does with what the
// source serves.
func (in *installation) trusted(t *testing.T, source *certs.SelfManaged, bundle string, clock time.Duration) error {
	t.Helper()
	pair, err := source.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle))
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: in.name + ".default.svc", CurrentTime: time.Now().Add(clock)})
	return err
}

// eventually waits for what the API server's events bring about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}
