package placement

import (
	"slices"
	"strings"
)

// poolLabels are the labels by which the usual providers and autoscalers name a
// node pool, that is: a set of nodes which are made alike.
var poolLabels = []string{
	"karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup", "cloud.google.com/gke-nodepool",
	"kubernetes.azure.com/agentpool", "node.cluster.x-k8s.io/machine-pool",
}

// PoolLabels returns the labels that name a node pool.
func PoolLabels() []string { return slices.Clone(poolLabels) }

// givenPrefixes are the prefixes of labels that kubelet, a cloud or an
// autoscaler sets, and sets again after people have changed them. Those of
// Kubernetes are in k8s.io/api/core/v1 well_known_labels.go and in
// k8s.io/kubelet/pkg/apis.
var givenPrefixes = []string{
	"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/",
	"node.kubernetes.io/instance-type", "node.kubernetes.io/windows-build",
	"topology.kubernetes.io/", "failure-domain.beta.kubernetes.io/", "topology.k8s.aws/", "topology.gke.io/", "topology.disk.csi.azure.com/",
	"karpenter.sh/", "karpenter.k8s.aws/", "karpenter.azure.com/", "eks.amazonaws.com/", "alpha.eksctl.io/",
	"cloud.google.com/", "kubernetes.azure.com/", "node.cluster.x-k8s.io/",
	"feature.node.kubernetes.io/", "nvidia.com/",
}

// isGiven says whether nodes get a label by themselves: to set it with kubectl
// is no way to make a node match.
func isGiven(key string) bool {
	return slices.ContainsFunc(givenPrefixes, func(prefix string) bool {
		rest, found := strings.CutPrefix(key, prefix)
		return found && (rest == "" || strings.HasSuffix(prefix, "/"))
	})
}

// SetByPeople returns the labels of a nodeSelector that people set on nodes, in
// contrast to those that nodes get by themselves.
func SetByPeople(nodeSelector map[string]string) map[string]string {
	var set map[string]string
	for key, value := range nodeSelector {
		if isGiven(key) {
			continue
		}
		if set == nil {
			set = map[string]string{}
		}
		set[key] = value
	}
	return set
}
