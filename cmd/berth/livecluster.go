package main

import (
	"cmp"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/manifests"
)

// clusterFlags name a cluster, as kubectl's do.
type clusterFlags struct{ kubeconfig, context, namespace string }

// addTo adds the flags to a group; what says which cluster it is and what it is for.
func (f *clusterFlags) addTo(group flagGroup, what string) {
	f.addConnection(group, what)
	group.flags.StringVarP(&f.namespace, "namespace", "n", "", "`namespace` of DaemonSets that name none (default: that of the context, or default)")
}

// addConnection adds those that say which cluster it is.
func (f *clusterFlags) addConnection(group flagGroup, what string) {
	group.flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `file` of "+what)
	group.flags.StringVar(&f.context, "context", "", "`context` of the kubeconfig, that of kubectl without --kubeconfig")
}

// named says whether the flags name a cluster at all.
func (f *clusterFlags) named() bool { return f.kubeconfig != "" || f.context != "" }

// liveCluster is a cluster whose facts count.
type liveCluster struct {
	client.Client
	// namespace is that of objects that name none.
	namespace string
}

func (f *clusterFlags) clientConfig() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context})
}

// config returns how to connect to the cluster that the flags name, or else kubectl's, and the namespace of its context.
func (f *clusterFlags) config() (config *rest.Config, namespace string, err error) {
	kubeconfig := f.clientConfig()
	if config, err = kubeconfig.ClientConfig(); err != nil {
		return nil, "", fmt.Errorf("find the API server: %w", err)
	}
	config.UserAgent, config.QPS = "berth/"+version, -1
	if namespace, _, err = kubeconfig.Namespace(); err != nil {
		return nil, "", fmt.Errorf("find the namespace of the context: %w", err)
	}
	return config, namespace, nil
}

// connect returns the cluster that the flags name, or else kubectl's.
func (f *clusterFlags) connect() (*liveCluster, error) {
	config, ofContext, err := f.config()
	if err != nil {
		return nil, err
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Namespace{}, &corev1.NamespaceList{})
	mapper, err := newMapper(nil, nil)
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: addReadKinds(scheme, mapper)})
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return &liveCluster{c, cmp.Or(f.namespace, ofContext, metav1.NamespaceDefault)}, nil
}

// addFacts adds the cluster's policies, namespaces and nodes. What the files have of the same name counts in their place.
func (c *liveCluster) addFacts(ctx context.Context, set *manifests.Set) error {
	var facts manifests.Set
	var err error
	if facts.Policies, err = c.policies(ctx); err != nil {
		return fmt.Errorf("read the cluster's policies: %w", err)
	}
	var namespaces corev1.NamespaceList
	var nodes corev1.NodeList
	for what, list := range map[string]client.ObjectList{"namespaces": &namespaces, "nodes": &nodes} {
		if err := c.List(ctx, list); err != nil {
			return fmt.Errorf("read the cluster's %s: %w", what, err)
		}
	}
	facts.Namespaces = namespaces.Items
	for i := range nodes.Items {
		facts.Nodes = append(facts.Nodes, &nodes.Items[i])
	}
	*set = *set.Over(&facts)
	return nil
}

// policies reads the cluster's policies. One in which berth was never installed has none.
func (c *liveCluster) policies(ctx context.Context) ([]manifests.Policy, error) {
	var list v1alpha1.PlacementPolicyList
	if err := c.List(ctx, &list); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	policies := make([]manifests.Policy, len(list.Items))
	for i := range list.Items {
		policies[i].Object = list.Items[i]
	}
	return policies, nil
}
