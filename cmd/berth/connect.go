package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
)

// A Pod often starts before its ServiceAccount has its rights, or the
// CustomResourceDefinition is established: such errors get some time to go away.
const (
	connectTimeout = 20 * time.Second
	connectRetry   = time.Second
)

// restConfig reads a kubeconfig file or, without one, the ServiceAccount that a
// Pod has.
func restConfig(kubeconfig string) (*rest.Config, error) {
	config, err := rest.InClusterConfig()
	if kubeconfig != "" {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	switch {
	case errors.Is(err, rest.ErrNotInCluster):
		return nil, errors.New("berth does not run in a Pod: say with --kubeconfig FILE which cluster to serve")
	case err != nil:
		return nil, fmt.Errorf("find the API server: %w", err)
	}
	config.UserAgent = "berth/" + version
	// The API server has priority and fairness; a limit of our own would only delay.
	config.QPS = -1
	return config, nil
}

// newScheme knows the kinds of which berth reads more than the metadata.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Node{}, &corev1.NodeList{})
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	scheme.AddKnownTypes(appsv1.SchemeGroupVersion, &appsv1.DaemonSet{}, &appsv1.DaemonSetList{})
	metav1.AddToGroupVersion(scheme, appsv1.SchemeGroupVersion)
	return scheme, v1alpha1.AddToScheme(scheme)
}

// newMapper knows where the kinds that berth uses are served, so that no start
// has to discover the whole API.
func newMapper(*rest.Config, *http.Client) (meta.RESTMapper, error) {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(v1alpha1.GroupVersion.WithKind("PlacementPolicy"), meta.RESTScopeRoot)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Node"), meta.RESTScopeRoot)
	mapper.Add(appsv1.SchemeGroupVersion.WithKind("DaemonSet"), meta.RESTScopeNamespace)
	return mapper, nil
}

// awaitAPI returns when policies can be read from the API server, or says why
// they cannot.
func awaitAPI(ctx context.Context, reader client.Reader, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for first := true; ; first = false {
		err := reader.List(ctx, &v1alpha1.PlacementPolicyList{}, client.Limit(1))
		if err == nil {
			return nil
		}
		if first {
			log.Info("Cannot read policies yet, trying again", "err", explain(err), "for", connectTimeout.String())
		}
		select {
		case <-ctx.Done():
			return explain(err)
		case <-time.After(connectRetry):
		}
	}
}

// explain says what to do about an error of the API server.
func explain(err error) error {
	var network net.Error
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return fmt.Errorf("the cluster has no PlacementPolicy: install berth's CustomResourceDefinition (deploy/berth.yaml or the chart has it): %w", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("berth lacks the rights of its ClusterRole (deploy/berth.yaml or the chart has it): %w", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not accept berth's credentials, check the kubeconfig or the ServiceAccount: %w", err)
	case errors.As(err, &network):
		return fmt.Errorf("cannot reach the API server, check the address in the kubeconfig and the network: %w", err)
	}
	return fmt.Errorf("read policies: %w", err)
}
