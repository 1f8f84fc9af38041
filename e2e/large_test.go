package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What takes more memory than that, decoded whole, no matchCondition looks at.
const conditionsBound = "its matchConditions cannot look at what takes more than 33554432 bytes of memory: make the DaemonSet"

var conditional = anyNodes + poolA + onlyIf("object.metadata.name == 'agent'")

// withArguments is an agent of 1.15 MB, nearly as much as etcd takes. No node has its label: pods would be as large.
func withArguments(argument string) string {
	arguments := strings.Repeat(argument+",", 1_150_000/len(argument+","))
	return strings.Replace(agent("nodeSelector: {e2e-large: none}"), `image: "agent:1"`, `image: "agent:1", args: [`+arguments+`]`, 1)
}

// largeAgent is within the bound where it is created. An update, which is two of it, is not.
func largeAgent() string { return withArguments(`"12345"`) }

// hugeAgent is beyond the bound.
func hugeAgent() string { return withArguments(`""`) }

func expectBoundNamed(t *testing.T, stderr string) {
	t.Helper()
	if !strings.Contains(stderr, conditionsBound) {
		t.Errorf("kubectl says nothing of the bound: %s", stderr)
	}
}

func TestALargeDaemonSetIsPlacedWhereConditionsCanLookAtItAndStaysPlaced(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "conditional", conditional)
	expectKubectl(t, create(t, namespace, largeAgent()), "")
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-large": "none", "e2e-pool": "a"})
	expectBoundNamed(t, setImage(t, namespace, "agent:2"))
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-large": "none", "e2e-pool": "a"})
	if image := get(t, namespace, "agent").Spec.Template.Spec.Containers[0].Image; image != "agent:2" {
		t.Errorf("the update left the image %s", image)
	}
	kubectl(t, "", "delete", "-n", namespace, "daemonset/agent", "--cascade=foreground", "--timeout=60s")
}

func TestADaemonSetThatIsTooLargeForConditionsGoesTheWayOfTheFailurePolicy(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "conditional", conditional)
	want := []string{fmt.Sprintf("metadata: Forbidden: %s smaller: ask a cluster admin to mend the policy", conditionsBound)}
	if diff := cmp.Diff(want, createRejected(t, namespace, hugeAgent())); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	applyPolicy(t, namespace, "conditional", conditional+"failurePolicy: Ignore\n")
	expectBoundNamed(t, create(t, namespace, hugeAgent()))
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-large": "none"})
}

// What was there before the policy is not to be stuck: it can be rolled, labelled and deleted, and placed by nobody.
func TestALargeDaemonSetFromBeforeThePolicyIsUpdatedAndDeleted(t *testing.T) {
	for name, manifest := range map[string]string{"large": largeAgent(), "huge": hugeAgent()} {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t, nil)
			create(t, namespace, held(manifest))
			applyPolicy(t, namespace, "conditional", conditional)
			expectBoundNamed(t, setImage(t, namespace, "agent:2"))
			expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-large": "none"})
			kubectl(t, "", "label", "-n", namespace, "daemonset/agent", "a=b")
			kubectl(t, "", "annotate", "-n", namespace, "daemonset/agent", "a=b")
			expectBoundNamed(t, kubectlRejected(t, "", patchPool(namespace, "x")...))

			kubectl(t, "", "patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
			kubectl(t, "", "patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p", `{"metadata":{"finalizers":["example.com/hold"]}}`)
			kubectl(t, "", "delete", "-n", namespace, "daemonset/agent", "--cascade=foreground", "--wait=false")
			kubectl(t, "", "label", "-n", namespace, "daemonset/agent", "c=d")
			letGo(t, namespace)
		})
	}
}
