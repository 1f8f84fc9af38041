package e2e_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	podNodeSelectorKey = "scheduler.alpha.kubernetes.io/node-selector"
	fromNamespace      = "nodeSelectorFrom: [{type: NamespaceAnnotation, namespaceAnnotation: {key: " + podNodeSelectorKey + "}}]\nnodeChecks: {minMatchingNodes: 0}\n"
)

func annotateNamespace(t *testing.T, namespace, annotation string) {
	t.Helper()
	kubectl(t, "", "annotate", "namespace", namespace, "--overwrite", annotation)
	berthKnows(t)
}

// placed is the nodeSelector that a new agent would be stored with.
func placed(t *testing.T, namespace, manifest string) map[string]string {
	t.Helper()
	return parse(t, kubectl(t, manifest, "create", "-n", namespace, "-f", "-", "--dry-run=server", "-o", "yaml")).Spec.Template.Spec.NodeSelector
}

func TestTheAnnotationOfANamespacePlacesItsDaemonSets(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "from-namespace", fromNamespace+"nodeSelector: {e2e-disk: ssd}")
	tests := []struct {
		name, annotation string
		want             map[string]string
	}{
		{"that is not there: only what else the policy requires", podNodeSelectorKey + "-", map[string]string{"e2e-disk": "ssd"}},
		{"with one label", podNodeSelectorKey + "=e2e-pool=a", map[string]string{"e2e-disk": "ssd", "e2e-pool": "a"}},
		{"with two labels and blanks", podNodeSelectorKey + "=e2e-pool = b , zone=", map[string]string{"e2e-disk": "ssd", "e2e-pool": "b", "zone": ""}},
		{"that is empty: an opt-out of the whole policy", podNodeSelectorKey + "=", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			annotateNamespace(t, namespace, test.annotation)
			if diff := cmp.Diff(test.want, placed(t, namespace, agent(""))); diff != "" {
				t.Errorf("nodeSelector (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAChangedAnnotationOfTheNamespaceTakesEffectOnTheNextWrite(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-pool", "a", "n-1", "n-2")
	labelNodes(t, "e2e-pool", "b", "n-3")
	applyPolicy(t, namespace, "from-namespace", fromNamespace)
	annotateNamespace(t, namespace, podNodeSelectorKey+"=e2e-pool=a")
	create(t, namespace, agent(""))
	expectPods(t, namespace, "agent", "n-1", "n-2")

	annotateNamespace(t, namespace, podNodeSelectorKey+"=e2e-pool=b")
	kubectl(t, "", "annotate", "-n", namespace, "daemonset/agent", "note=1")
	if got := get(t, namespace, "agent"); got.Generation != 1 {
		t.Errorf("a note on the DaemonSet took it to generation %d", got.Generation)
	}
	setImage(t, namespace, "agent:2")
	expectPods(t, namespace, "agent", "n-3")

	annotateNamespace(t, namespace, podNodeSelectorKey+"=")
	setImage(t, namespace, "agent:3")
	expectPods(t, namespace, "agent", allNodes...)
}

func TestAnAnnotationOfTheNamespaceThatIsNoNodeSelectorIsNamed(t *testing.T) {
	tests := []struct{ name, value, part string }{
		{"without a value", "e2e-pool=a,zone", `"zone" is not key=value`},
		{"with two values", "e2e-pool=a=b", `"e2e-pool=a=b" is not key=value`},
		{"with a contradiction", "e2e-pool=a,e2e-pool=b", `"e2e-pool=b" contradicts e2e-pool=a before it`},
		{"with a bad key", "not a key=a", `the key of "not a key=a" is no label key: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`},
	}
	namespace := newNamespace(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			annotateNamespace(t, namespace, podNodeSelectorKey+"="+test.value)
			applyPolicy(t, namespace, "from-namespace", fromNamespace+"failurePolicy: Fail")
			cause := fmt.Sprintf("%s, in annotation %s of namespace %q: ask a cluster admin to mend it", test.part, podNodeSelectorKey, namespace)
			want := []string{fmt.Sprintf("metadata.annotations[%s]: Invalid value: %q: %s", podNodeSelectorKey, test.value, cause)}
			if diff := cmp.Diff(want, createRejected(t, namespace, agent(""))); diff != "" {
				t.Errorf("with failurePolicy Fail, causes (-want +got):\n%s", diff)
			}

			applyPolicy(t, namespace, "from-namespace", fromNamespace+"failurePolicy: Ignore\nnodeSelector: {e2e-disk: ssd}")
			stderr := create(t, namespace, agent(""))
			expectKubectl(t, stderr, "Warning: "+cut(cause+fmt.Sprintf(" (metadata.annotations[%s])", podNodeSelectorKey))+"\n")
			expectNodeSelector(t, get(t, namespace, "agent"), nil)
			kubectl(t, "", "delete", "-n", namespace, "daemonset/agent")
		})
	}
}

// cut is how much of a warning fits.
func cut(warning string) string {
	if len(warning) <= 120 {
		return warning
	}
	return warning[:117] + "..."
}
