package doctor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Options says what is looked at.
type Options struct {
	// Namespace is that of berth.
	Namespace string
	// ProbeNamespace is where dry runs are made; empty: one that the webhooks cover.
	ProbeNamespace string
}

// Cluster is the cluster that is looked at.
type Cluster struct {
	Options
	client   kubernetes.Interface
	dynamic  dynamic.Interface
	warnings *warnings
	now      func() time.Time

	// What several sections look at.
	hooks      func() ([]webhook, error)
	namespaces func() ([]corev1.Namespace, error)
}

// NewCluster connects to a cluster.
func NewCluster(ctx context.Context, config *rest.Config, options Options) (*Cluster, error) {
	c := &Cluster{Options: options, warnings: &warnings{}, now: time.Now}
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = c.warnings
	var err error
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	c.hooks = sync.OnceValues(func() ([]webhook, error) { return c.readWebhooks(ctx) })
	c.namespaces = sync.OnceValues(func() ([]corev1.Namespace, error) {
		list, err := c.client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		return list.Items, nil
	})
	return c, nil
}

// Answers says why the API server does not answer at all; nil: it does.
func (c *Cluster) Answers() error {
	_, err := c.client.Discovery().ServerVersion()
	return err
}

// warnings keeps what the API server warns of.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// take returns the warnings since it was called last.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.texts
	w.texts = nil
	return taken
}

// The webhooks of berth, as the chart names them.
const (
	mutating         = "mutate.berth.dev"
	validating       = "validate.berth.dev"
	systemMutating   = "mutate.system.berth.dev"
	systemValidating = "validate.system.berth.dev"
	ofPolicies       = "policies.berth.dev"
)

// webhook is what both kinds of webhooks have.
type webhook struct {
	configuration string
	mutates       bool
	name          string
	caBundle      []byte
	service       *admissionregistrationv1.ServiceReference
	failurePolicy admissionregistrationv1.FailurePolicyType
	reinvoked     bool
	namespaces    *metav1.LabelSelector
	rules         []admissionregistrationv1.RuleWithOperations
}

// fails says whether a write fails while it does not answer.
func (w *webhook) fails() bool { return w.failurePolicy == admissionregistrationv1.Fail }

// isBerths says whether it is one of berth's.
func (w *webhook) isBerths() bool {
	return slices.Contains([]string{mutating, validating, systemMutating, systemValidating, ofPolicies}, w.name)
}

// readWebhooks returns all, in the order in which the API server calls them.
func (c *Cluster) readWebhooks(ctx context.Context) ([]webhook, error) {
	var hooks []webhook
	api := c.client.AdmissionregistrationV1()
	mutatingOnes, err := api.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, configuration := range mutatingOnes.Items {
		for i := range configuration.Webhooks {
			w := &configuration.Webhooks[i]
			hooks = append(hooks, webhook{
				configuration: configuration.Name, mutates: true, name: w.Name, caBundle: w.ClientConfig.CABundle, service: w.ClientConfig.Service,
				failurePolicy: *w.FailurePolicy, reinvoked: *w.ReinvocationPolicy == admissionregistrationv1.IfNeededReinvocationPolicy,
				namespaces: w.NamespaceSelector, rules: w.Rules,
			})
		}
	}
	validatingOnes, err := api.ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, configuration := range validatingOnes.Items {
		for i := range configuration.Webhooks {
			w := &configuration.Webhooks[i]
			hooks = append(hooks, webhook{
				configuration: configuration.Name, name: w.Name, caBundle: w.ClientConfig.CABundle, service: w.ClientConfig.Service,
				failurePolicy: *w.FailurePolicy, namespaces: w.NamespaceSelector, rules: w.Rules,
			})
		}
	}
	return hooks, nil
}

// named returns the webhooks of a name.
func named(hooks []webhook, name string) []webhook {
	var found []webhook
	for i := range hooks {
		if hooks[i].name == name {
			found = append(found, hooks[i])
		}
	}
	return found
}

// covered returns a namespace that a webhook is for, the default one before others.
func (c *Cluster) covered(w *webhook) (string, error) {
	if c.ProbeNamespace != "" {
		return c.ProbeNamespace, nil
	}
	namespaces, err := c.namespaces()
	if err != nil {
		return metav1.NamespaceDefault, nil //nolint:nilerr // who may not list them may write to this one
	}
	selector, err := metav1.LabelSelectorAsSelector(w.namespaces)
	if err != nil {
		return "", fmt.Errorf("namespaceSelector of %s: %w", w.name, err)
	}
	first := ""
	for i := range namespaces {
		n := &namespaces[i]
		if !selector.Matches(labels.Set(n.Labels)) || n.DeletionTimestamp != nil {
			continue
		}
		if n.Name == metav1.NamespaceDefault {
			return n.Name, nil
		}
		if first == "" {
			first = n.Name
		}
	}
	if first == "" {
		return "", fmt.Errorf("no namespace has the labels of %s: label one, or name one with --probe-namespace", w.name)
	}
	return first, nil
}
