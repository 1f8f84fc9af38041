package live

import (
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// The size that berth is made for.
const (
	scalePolicies   = 1000
	scaleNamespaces = 500
	scaleNodes      = 15000
	scaleDaemonSets = 2000
)

// scale is a cluster of that size as berth has it in memory: what the informers
// store, and the snapshot made of it.
type scale struct {
	policies   []v1alpha1.PlacementPolicy
	nodes      []*corev1.Node
	daemonSets []*appsv1.DaemonSet
	facts      *Facts
}

// theScale decodes what an API server would send, in its protobuf form, so that
// strings are shared as little here as there.
var theScale = sync.OnceValues(func() (*scale, error) {
	s := &scale{facts: &Facts{conditions: map[string]compiledConditions{}}}
	var changes []cluster.NodeChange
	for i := range scaleNodes {
		node, err := decodedNode(i)
		if err != nil {
			return nil, err
		}
		s.nodes = append(s.nodes, node)
		changes = append(changes, cluster.NodeChange{Name: node.Name, Labels: node.Labels, Taints: node.Spec.Taints})
	}
	var namespaces []placement.Namespace
	for i := range scaleNamespaces {
		namespaces = append(namespaces, placement.Namespace{
			Name:        fmt.Sprintf("namespace-%d", i),
			Labels:      map[string]string{corev1.LabelMetadataName: fmt.Sprintf("namespace-%d", i), "team": fmt.Sprint(i)},
			Annotations: map[string]string{v1alpha1.DefaultNamespaceAnnotation: "example.com/pool=pool-3"},
		})
	}
	for i := range scaleDaemonSets {
		ds, err := decodedDaemonSet(i)
		if err != nil {
			return nil, err
		}
		s.daemonSets = append(s.daemonSets, ds)
	}
	s.policies = manyPolicies(scalePolicies, scaleNamespaces)
	policies, programs := s.facts.compileAll(s.policies)
	s.facts.snapshot.Store(cluster.NewSnapshot(policies, namespaces, (&cluster.NodeIndex{}).Apply(changes)).WithConditions(programs))
	return s, nil
})

// decodedNode is a node as the informer stores it.
func decodedNode(i int) (*corev1.Node, error) {
	name := fmt.Sprintf("ip-10-%d-%d-%d.eu-central-1.compute.internal", i/62500, i/250%250, i%250)
	sent := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: fmt.Sprint(100000 + i), Labels: map[string]string{
		"kubernetes.io/hostname":                   name,
		"kubernetes.io/os":                         "linux",
		"kubernetes.io/arch":                       "amd64",
		"beta.kubernetes.io/os":                    "linux",
		"beta.kubernetes.io/arch":                  "amd64",
		"beta.kubernetes.io/instance-type":         fmt.Sprintf("m%d.large", i%7),
		"node.kubernetes.io/instance-type":         fmt.Sprintf("m%d.large", i%7),
		"topology.kubernetes.io/region":            "eu-central-1",
		"topology.kubernetes.io/zone":              fmt.Sprintf("eu-central-1%c", 'a'+i%3),
		"failure-domain.beta.kubernetes.io/region": "eu-central-1",
		"failure-domain.beta.kubernetes.io/zone":   fmt.Sprintf("eu-central-1%c", 'a'+i%3),
		"topology.ebs.csi.aws.com/zone":            fmt.Sprintf("eu-central-1%c", 'a'+i%3),
		"karpenter.sh/nodepool":                    fmt.Sprintf("pool-%d", i%20),
		"karpenter.sh/capacity-type":               "spot",
		"karpenter.k8s.aws/instance-family":        fmt.Sprintf("m%d", i%7),
		"karpenter.k8s.aws/instance-size":          "large",
		"karpenter.k8s.aws/instance-cpu":           "16",
		"karpenter.k8s.aws/instance-memory":        "65536",
		"example.com/pool":                         fmt.Sprintf("pool-%d", i%20),
		"example.com/rack":                         fmt.Sprint(i / 40),
		"example.com/instance-id":                  fmt.Sprintf("i-%017x", i*7919),
	}}}
	if i%50 == 0 {
		sent.Labels["app"] = "example"
	}
	if i%10 == 0 {
		sent.Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: fmt.Sprintf("team-%d", i%8), Effect: corev1.TaintEffectNoSchedule}}
	}
	for image := range 20 {
		sent.Status.Images = append(sent.Status.Images, corev1.ContainerImage{
			Names: []string{fmt.Sprintf("registry.example.com/team/image-%d@sha256:%s", image, strings.Repeat("0", 64))},
		})
	}
	encoded, err := sent.Marshal()
	if err != nil {
		return nil, err
	}
	received := &corev1.Node{}
	if err := received.Unmarshal(encoded); err != nil {
		return nil, err
	}
	stripped, err := stripNode(received)
	if err != nil {
		return nil, err
	}
	return stripped.(*corev1.Node), nil
}

func decodedDaemonSet(i int) (*appsv1.DaemonSet, error) {
	labels := map[string]string{"app": "example", "app.kubernetes.io/name": fmt.Sprintf("agent-%d", i)}
	sent := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{
		Name: fmt.Sprintf("agent-%d", i), Namespace: fmt.Sprintf("namespace-%d", i%scaleNamespaces),
		UID: types.UID(fmt.Sprintf("8f1c5c1e-0000-4000-8000-%012d", i)), Labels: labels,
	}}
	sent.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "example"}}
	sent.Spec.Template.Labels = labels
	for c := range 2 {
		container := corev1.Container{Name: fmt.Sprintf("container-%d", c), Image: "registry.example.com/team/agent:1.2.3"}
		for v := range 10 {
			container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%d", v), Value: "some value"})
			container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: fmt.Sprintf("volume-%d", v), MountPath: "/var/lib/agent"})
		}
		sent.Spec.Template.Spec.Containers = append(sent.Spec.Template.Spec.Containers, container)
	}
	encoded, err := sent.Marshal()
	if err != nil {
		return nil, err
	}
	received := &appsv1.DaemonSet{}
	return received, received.Unmarshal(encoded)
}

// manyPolicies is n policies for the namespaces of so many teams, of two kinds of
// source; one in ten has a matchCondition.
func manyPolicies(n, teams int) []v1alpha1.PlacementPolicy {
	list := make([]v1alpha1.PlacementPolicy, n)
	for i := range list {
		list[i].Name = fmt.Sprintf("policy-%d", i)
		list[i].UID = types.UID(list[i].Name)
		list[i].Generation = 1
		spec := &list[i].Spec
		spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprint(i % teams)}}
		switch i / teams % 2 {
		case 0:
			spec.NodeSelectorFrom = []v1alpha1.NodeSelectorSource{{Type: v1alpha1.NodeSelectorFromWorkloadSelector}}
		default:
			spec.NodeSelectorFrom = []v1alpha1.NodeSelectorSource{{Type: v1alpha1.NodeSelectorFromNamespaceAnnotation}}
		}
		if i%10 == 9 {
			spec.MatchConditions = []v1alpha1.MatchCondition{{Name: "no-bots", Expression: "!request.userInfo.username.startsWith('system:')"}}
		}
	}
	return list
}

func scaleOf(b *testing.B) *scale {
	b.Helper()
	s, err := theScale()
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkScale is what a cluster of the size that berth is made for costs.
func BenchmarkScale(b *testing.B) {
	b.Run("heap", func(b *testing.B) {
		s := scaleOf(b)
		var memory runtime.MemStats
		for b.Loop() {
			runtime.GC()
			runtime.ReadMemStats(&memory)
		}
		b.ReportMetric(float64(memory.HeapAlloc)/1e6, "heap-MB")
		runtime.KeepAlive(s)
	})
	b.Run("snapshot/node-label-changed", func(b *testing.B) {
		s := scaleOf(b)
		relabelled := cluster.NodeChange{Name: s.nodes[1].Name, Labels: maps.Clone(s.nodes[1].Labels), Taints: s.nodes[1].Spec.Taints}
		relabelled.Labels["app"] = "example"
		snapshot := s.facts.Snapshot()
		b.ReportAllocs()
		for b.Loop() {
			snapshot.WithNodes([]cluster.NodeChange{relabelled})
		}
	})
	b.Run("snapshot/policy-changed", func(b *testing.B) {
		s := scaleOf(b)
		b.ReportAllocs()
		for b.Loop() {
			s.policies[0].Generation++
			s.facts.Snapshot().WithPolicies(s.facts.compileAll(s.policies))
		}
	})
	b.Run("decode-node", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodedNode(1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
