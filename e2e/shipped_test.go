package e2e_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

const shippedPolicies = "../deploy/policies/"

// shipped is the effect of each policy in deploy/policies.
var shipped = map[string]func(t *testing.T){
	"own-label": func(t *testing.T) {
		labelNodes(t, "app", "agent", "n-2")
		namespace := newNamespace(t, enabled)
		create(t, namespace, agent(""))
		expectPods(t, namespace, "agent", "n-2")
	},
	"podnodeselector": func(t *testing.T) { expectAnnotationPlaces(t, podNodeSelectorKey) },
	"openshift":       func(t *testing.T) { expectAnnotationPlaces(t, "openshift.io/node-selector") },
	"linux-only": func(t *testing.T) {
		namespace := newNamespace(t, nil)
		create(t, namespace, agent(""))
		expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"kubernetes.io/os": "linux"})
		expectPods(t, namespace, "agent", allNodes...)
		for _, windows := range saysWindows {
			namespace := newNamespace(t, nil)
			create(t, namespace, agent(windows))
			asWritten := parse(t, agent(windows)).Spec.Template.Spec.NodeSelector
			expectNodeSelector(t, get(t, namespace, "agent"), asWritten)
			setImage(t, namespace, "agent:2")
			expectNodeSelector(t, get(t, namespace, "agent"), asWritten)
		}
	},
	"no-virtual-nodes": func(t *testing.T) {
		labelNodes(t, "eks.amazonaws.com/compute-type", "fargate", "n-1")
		labelNodes(t, "eks.amazonaws.com/compute-type", "ec2", "n-2")
		labelNodes(t, "type", "virtual-kubelet", "n-6")
		namespace := newNamespace(t, nil)
		create(t, namespace, agent(""))
		expectPods(t, namespace, "agent", "n-2", "n-3", "n-4", "n-5")
	},
	"gpu-only": func(t *testing.T) {
		labelNodes(t, "nvidia.com/gpu.present", "true", "n-3", "n-4")
		taintNode(t, "n-4", corev1.Taint{Key: "nvidia.com/gpu", Value: "present", Effect: corev1.TaintEffectNoSchedule})
		berthKnows(t)
		namespace := newNamespace(t, nil)
		create(t, namespace, withMetadata(agent(""), "labels: {berth.dev/pool: gpu}"))
		expectPods(t, namespace, "agent", "n-3", "n-4")
		others := newNamespace(t, nil)
		create(t, others, agent(""))
		expectPods(t, others, "agent", "n-1", "n-2", "n-3", "n-5", "n-6")
	},
}

// saysWindows is pods of DaemonSets that are for Windows nodes.
var saysWindows = []string{
	"nodeSelector: {kubernetes.io/os: windows}",
	"nodeSelector: {beta.kubernetes.io/os: windows}",
	"os: {name: windows}",
	requiring("{key: kubernetes.io/os, operator: In, values: [windows]}"),
	requiring("{key: kubernetes.io/os, operator: NotIn, values: [linux, plan9]}"),
	requiring("{key: beta.kubernetes.io/os, operator: In, values: [windows]}"),
	requiring("{key: kubernetes.io/os, operator: DoesNotExist}"),
}

// requiring is a pod with one expression of required node affinity.
func requiring(expression string) string {
	return "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [" + expression + "]}]}}}"
}

func expectAnnotationPlaces(t *testing.T, key string) {
	t.Helper()
	labelNodes(t, "e2e-pool", "a", "n-3", "n-5")
	namespace := newNamespace(t, nil)
	annotateNamespace(t, namespace, key+"=e2e-pool=a")
	create(t, namespace, agent(""))
	expectPods(t, namespace, "agent", "n-3", "n-5")
	others := newNamespace(t, nil)
	create(t, others, agent(""))
	expectNodeSelector(t, get(t, others, "agent"), nil)
}

func TestEachShippedPolicyDoesWhatItSays(t *testing.T) {
	files, err := os.ReadDir(shippedPolicies)
	if err != nil {
		t.Fatal(err)
	}
	var names, tested []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(file.Name(), ".yaml"))
	}
	for name := range shipped {
		tested = append(tested, name)
	}
	slices.Sort(tested)
	if diff := cmp.Diff(names, tested); diff != "" {
		t.Fatalf("policies in deploy/policies (-there +tested):\n%s", diff)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			kubectl(t, readFile(t, shippedPolicies+name+".yaml"), "apply", "-f", "-")
			if name != "own-label" { // that one is there from the start
				t.Cleanup(func() { deletePolicy(t, name) })
			}
			berthKnows(t)
			kubectl(t, "", "wait", "--for=condition=Ready", "--timeout=60s", "placementpolicy/"+name)
			shipped[name](t)
		})
	}
}
