package e2e_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// bare is for what has to happen after the test's own context is over.
func bare() context.Context { return context.Background() }

func TestEveryWayOfWritingGivesTheSameResultAndWritingAgainChangesNothing(t *testing.T) {
	const final, before = "image: example-image:latest", "image: example-image:old"
	manifest := tutorial(t)
	old := strings.Replace(manifest, final, before, 1)
	imagePatch := `{"spec":{"template":{"spec":{"containers":[{"name":"example-container","image":"example-image:latest"}]}}}}`
	mergePatch := `{"spec":{"template":{"spec":{"containers":[{"name":"example-container","image":"example-image:latest","imagePullPolicy":"Always"}]}}}}`
	jsonPatch := `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example-image:latest"}]`
	patch := func(kind, text string) []string {
		return []string{"patch", "daemonset", tutorialName, "--type=" + kind, "--patch=" + text}
	}
	ways := []struct {
		name  string
		first []string // how the DaemonSet with the old image came to be; nil: it was not there
		args  []string
	}{
		{name: "apply, new", args: []string{"apply", "-f", "-"}},
		{name: "apply, changed", first: []string{"apply", "-f", "-"}, args: []string{"apply", "-f", "-"}},
		{name: "server-side apply, new", args: []string{"apply", "--server-side", "-f", "-"}},
		{name: "server-side apply, changed", first: []string{"apply", "--server-side", "-f", "-"}, args: []string{"apply", "--server-side", "-f", "-"}},
		{name: "replace", first: []string{"create", "-f", "-"}, args: []string{"replace", "-f", "-"}},
		{name: "strategic merge patch", first: []string{"create", "-f", "-"}, args: patch("strategic", imagePatch)},
		{name: "merge patch", first: []string{"create", "-f", "-"}, args: patch("merge", mergePatch)},
		{name: "JSON patch", first: []string{"create", "-f", "-"}, args: patch("json", jsonPatch)},
	}
	want := parse(t, manifest).Spec.Template
	want.Spec.NodeSelector = map[string]string{"app": "example"}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			namespace := newNamespace(t, enabled)
			in := func(args []string) []string { return append([]string{"-n", namespace}, args...) }
			if way.first != nil {
				kubectl(t, old, in(way.first)...)
			}
			kubectl(t, manifest, in(way.args)...)
			ds := get(t, namespace, tutorialName)
			if diff := cmp.Diff(written(want), written(ds.Spec.Template)); diff != "" {
				t.Errorf("template (-want +got):\n%s", diff)
			}
			const claims = `{"version":2,"policies":{"own-label":{"nodeSelector":{"app":"example"}}}`
			if receipt := ds.Annotations[injectedAnnotation]; !strings.HasPrefix(receipt, claims) {
				t.Errorf("%s: %s", injectedAnnotation, receipt)
			}
			for range 20 {
				kubectl(t, manifest, in(way.args)...)
			}
			again := get(t, namespace, tutorialName)
			if again.Generation != ds.Generation {
				t.Errorf("writing it 20 times more took metadata.generation from %d to %d", ds.Generation, again.Generation)
			}
			if diff := cmp.Diff(ds.Spec, again.Spec); diff != "" {
				t.Errorf("writing it 20 times more changed the spec (-first +last):\n%s", diff)
			}
		})
	}
}

// written is what a template says about placement and containers, without the API server's defaults.
func written(template corev1.PodTemplateSpec) any {
	type container struct{ Name, Image string }
	var containers []container
	for _, c := range template.Spec.Containers {
		containers = append(containers, container{c.Name, c.Image})
	}
	return struct {
		Labels, Annotations, NodeSelector map[string]string
		Affinity                          *corev1.Affinity
		Containers                        []container
	}{template.Labels, template.Annotations, template.Spec.NodeSelector, template.Spec.Affinity, containers}
}

func TestServerDryRunShowsTheNodeSelectorAndStoresNothing(t *testing.T) {
	namespace := newNamespace(t, enabled)
	for _, args := range [][]string{{"create"}, {"apply"}, {"apply", "--server-side"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			args = append(args, "-n", namespace, "-f", "-", "--dry-run=server", "-o", "yaml")
			shown := &appsv1.DaemonSet{}
			if err := yaml.Unmarshal([]byte(kubectl(t, tutorial(t), args...)), shown); err != nil {
				t.Fatal(err)
			}
			expectNodeSelector(t, shown, map[string]string{"app": "example"})
			_, err := cp.Client.AppsV1().DaemonSets(namespace).Get(t.Context(), tutorialName, metav1.GetOptions{})
			if !apierrors.IsNotFound(err) {
				t.Errorf("a dry run stored the DaemonSet: %v", err)
			}
		})
	}
}

func TestOperatorsPutThatDropsTheNodeSelectorGetsItBack(t *testing.T) {
	namespace := newNamespace(t, enabled)
	kubectl(t, tutorial(t), "create", "-n", namespace, "-f", "-")
	before := get(t, namespace, tutorialName)

	// Without a resourceVersion, as operators do that want their own version to stand.
	put := parse(t, tutorial(t))
	after, err := cp.Client.AppsV1().DaemonSets(namespace).Update(t.Context(), put, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectNodeSelector(t, after, map[string]string{"app": "example"})
	if diff := cmp.Diff(before.Annotations[injectedAnnotation], after.Annotations[injectedAnnotation]); diff != "" {
		t.Errorf("%s (-before +after):\n%s", injectedAnnotation, diff)
	}
	if after.Generation != before.Generation {
		t.Errorf("metadata.generation went from %d to %d: the controller would roll out", before.Generation, after.Generation)
	}
}
