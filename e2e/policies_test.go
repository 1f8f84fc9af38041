package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// applied is the policies that a test will delete when it ends.
var applied = map[string]bool{}

// applyPolicy applies a policy for the DaemonSets of one namespace, which is in force when this returns and until the
// test ends that has applied it first. A policy of this name is replaced.
func applyPolicy(t *testing.T, namespace, name, spec string) {
	t.Helper()
	kubectl(t, policyManifest(t, namespace, name, spec), "apply", "-f", "-")
	if !applied[name] {
		applied[name] = true
		t.Cleanup(func() { deletePolicy(t, name); delete(applied, name) })
	}
	berthKnows(t)
}

func deletePolicy(t *testing.T, name string) {
	t.Helper()
	// The test's own context may be over.
	if _, _, err := cp.Kubectl(bare(), "", "delete", "placementpolicy", name, "--ignore-not-found"); err != nil {
		t.Error(err)
	}
	berthKnows(t)
}

// policyManifest is a policy with this spec, which says nothing of namespaces.
func policyManifest(t *testing.T, namespace, name, spec string) string {
	t.Helper()
	var parsed map[string]any
	if err := yaml.Unmarshal([]byte(spec), &parsed); err != nil {
		t.Fatal(err)
	}
	constraints, _ := parsed["matchConstraints"].(map[string]any)
	if constraints == nil {
		constraints = map[string]any{}
	}
	constraints["namespaceSelector"] = map[string]any{"matchLabels": map[string]any{corev1.LabelMetadataName: namespace}}
	parsed["matchConstraints"] = constraints
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "berth.dev/v1alpha1", "kind": "PlacementPolicy",
		"metadata": map[string]any{"name": name}, "spec": parsed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(manifest)
}

// The marks that berthKnows leaves on a policy, a namespace and a node.
const (
	policyMark, namespaceMark = "e2e.example.com/policies", "e2e.example.com/namespaces"

	marker = `{"apiVersion":"berth.dev/v1alpha1","kind":"PlacementPolicy","metadata":{"name":"e2e-marker"},"spec":{
		"matchConstraints":{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"default"}},"objectSelector":{"matchLabels":{"e2e":"marker"}}},
		"nodeSelector":{%q:"%d"},
		"nodeSelectorFrom":[{"type":"NamespaceAnnotation","namespaceAnnotation":{"key":%q}}]}}`
	marked = `{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"marked","labels":{"e2e":"marker"}},"spec":{
		"selector":{"matchLabels":{"e2e":"marker"}},"template":{"metadata":{"labels":{"e2e":"marker"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`
)

var marks int

// berthKnows waits until berth knows all policies, namespaces and nodes as they are now. Events of one kind come in
// order: whoever has seen the last of a kind has seen all before it.
func berthKnows(t *testing.T) {
	t.Helper()
	marks++
	rest := cp.Client.Discovery().RESTClient()
	err := rest.Patch(types.ApplyPatchType).AbsPath("/apis/berth.dev/v1alpha1/placementpolicies/e2e-marker").
		Param("fieldManager", "e2e").Param("force", "true").
		Body(fmt.Appendf(nil, marker, policyMark, marks, namespaceMark)).Do(bare()).Error()
	if err != nil {
		t.Fatal(err)
	}
	annotated := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%s=%d"}}}`, namespaceMark, namespaceMark, marks)
	if _, err := cp.Client.CoreV1().Namespaces().Patch(bare(), metav1.NamespaceDefault, types.MergePatchType, annotated, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	setNodeLabel(bare(), t, "n-1", fmt.Sprintf(`{"metadata":{"labels":{%q:"%d",%q:"%d"}}}`, policyMark, marks, namespaceMark, marks))
	want := []string{fmt.Sprintf(`%q:"%d"`, namespaceMark, marks), fmt.Sprintf(`%q:"%d"`, policyMark, marks)}
	waitFor(t, "berth to know the cluster", func() (bool, string) {
		answer := review(t, mutatePath, metav1.NamespaceDefault, []byte(marked))
		return containsAll(string(answer.Patch), want) && len(answer.Warnings) == 0,
			fmt.Sprintf("patch %s, warnings %q", answer.Patch, answer.Warnings)
	})
}

// agent is a DaemonSet with these lines in its pod spec.
func agent(pod string) string {
	const manifest = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: agent, image: "agent:1"}]
`
	text := manifest
	for line := range strings.Lines(pod) {
		text += "      " + strings.TrimRight(line, "\n") + "\n"
	}
	return text
}

// withMetadata adds to the metadata of an agent.
func withMetadata(manifest, more string) string {
	return strings.Replace(manifest, "metadata: {name: agent}", "metadata: {name: agent, "+more+"}", 1)
}

// setImage rolls an agent.
func setImage(t *testing.T, namespace, image string) (stderr string) {
	t.Helper()
	return kubectlWarned(t, "", "set", "image", "-n", namespace, "daemonset/agent", "agent="+image)
}

// kubectlWarned runs a command that has to succeed, and returns what it warned of.
func kubectlWarned(t *testing.T, stdin string, args ...string) (stderr string) {
	t.Helper()
	_, stderr, err := cp.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return stderr
}

// create creates an agent in the namespace and returns what kubectl warned of.
func create(t *testing.T, namespace, manifest string) (stderr string) {
	t.Helper()
	return kubectlWarned(t, manifest, "create", "-n", namespace, "-f", "-")
}

// createRejected returns the causes for which the API server rejects an agent.
func createRejected(t *testing.T, namespace, manifest string) []string {
	t.Helper()
	return causes(kubectlRejected(t, manifest, "create", "-n", namespace, "-f", "-"))
}

// causes takes the causes of a denial from what kubectl prints.
func causes(stderr string) (found []string) {
	for line := range strings.Lines(stderr) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "* ")
		if _, cause, head := strings.Cut(line, " is invalid: "); head {
			line = cause
		}
		if line != "" && !strings.HasSuffix(line, " is invalid:") {
			found = append(found, line)
		}
	}
	return found
}

// expectKubectl holds what kubectl printed to what it should have printed.
func expectKubectl(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("kubectl said\n%s\nnot\n%s", got, want)
	}
}
