package main

import (
	"context"
	"errors"

	"github.com/cert-manager/cert-manager/pkg/client/clientset/versioned/scheme"
	"github.com/cert-manager/cert-manager/pkg/controller/cainjector"
	"github.com/cert-manager/cert-manager/pkg/util"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubernetesscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// newInjector makes the manager in which cainjector runs.
func newInjector(ctx context.Context, config *rest.Config, health string) (manager.Manager, error) {
	known := runtime.NewScheme()
	if err := errors.Join(kubernetesscheme.AddToScheme(known), scheme.AddToScheme(known)); err != nil {
		return nil, err
	}
	// The field manager that owns caBundle is made of the user agent.
	m, err := manager.New(util.RestConfigWithUserAgent(config, "cainjector"), manager.Options{
		Scheme: known,
		// As cainjector has it: of Secrets it watches only the metadata, and reads the one that it needs.
		Cache:                  cache.Options{ReaderFailOnMissingInformer: true},
		Client:                 client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: health,
	})
	if err != nil {
		return nil, err
	}
	if err := m.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	// Nothing is on unless asked for: without these, cainjector runs and does nothing.
	return m, cainjector.RegisterAllInjectors(ctx, m, cainjector.SetupOptions{
		EnableCertificatesDataSource: true,
		EnabledReconcilersFor: map[string]bool{
			cainjector.MutatingWebhookConfigurationName:   true,
			cainjector.ValidatingWebhookConfigurationName: true,
		},
	})
}
