package placement_test

import (
	"encoding/json"
	"slices"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// tutorial is the DaemonSet that berth exists for, as its author wrote it.
const tutorial = `
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: example-daemonset
spec:
  selector:
    matchLabels:
      app: example
  template:
    metadata:
      labels:
        app: example
    spec:
      containers:
      - name: example-container
        image: example-image:latest
`

// ownLabel is the spec of the default policy: the DaemonSet's own selector.
const ownLabel = `nodeSelectorFrom: [{type: WorkloadSelector}]`

func daemonSet(t testing.TB, manifest string) *appsv1.DaemonSet {
	t.Helper()
	ds := &appsv1.DaemonSet{}
	if err := yaml.UnmarshalStrict([]byte(manifest), ds); err != nil {
		t.Fatalf("read DaemonSet: %v", err)
	}
	return ds
}

func policy(t testing.TB, name, spec string) v1alpha1.PlacementPolicy {
	t.Helper()
	p := v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatalf("read policy: %v", err)
	}
	return p
}

func compile(t testing.TB, policies ...v1alpha1.PlacementPolicy) placement.Policies {
	t.Helper()
	compiled, failed := placement.Compile(policies)
	if len(failed) > 0 {
		t.Fatalf("compile policies: %v", failed)
	}
	return compiled
}

// write is one write of a DaemonSet, as a user makes it.
type write struct {
	DaemonSet, Old *appsv1.DaemonSet
	Nodes          placement.Nodes
	Namespace      placement.Namespace
	Conditions     placement.Conditions
	// Stated is the manifest that kubectl apply keeps, where this write brings one,
	// and Applied the units that the writer's field manager applies.
	Stated  *appsv1.DaemonSet
	Applied []placement.Unit
}

// question is what the webhooks ask about the write.
func (w *write) question() *placement.Question {
	q := &placement.Question{New: placement.ObjectOf(w.DaemonSet), Nodes: w.Nodes}
	if w.Old != nil {
		q.Old = placement.ObjectOf(w.Old)
		q.RestChanged = rest(w.DaemonSet) != rest(w.Old)
		q.RestDigests = func() (updated, stored string) { return rest(w.DaemonSet), rest(w.Old) }
	}
	if w.Stated != nil {
		q.Stated = func() *placement.Template { return &placement.ObjectOf(w.Stated).Template }
	}
	q.Applied = func(unit placement.Unit) bool { return slices.Contains(w.Applied, unit) }
	return q
}

func templateOf(ds *appsv1.DaemonSet) *placement.Template { return &placement.ObjectOf(ds).Template }

// rest is the template without what placement decides on.
func rest(ds *appsv1.DaemonSet) string {
	template := ds.Spec.Template.DeepCopy()
	pod := &template.Spec
	pod.NodeSelector, pod.Tolerations = nil, nil
	if affinity := pod.Affinity; affinity != nil {
		if node := affinity.NodeAffinity; node != nil {
			node.RequiredDuringSchedulingIgnoredDuringExecution = nil
			if len(node.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
				affinity.NodeAffinity = nil
			}
		}
		if *affinity == (corev1.Affinity{}) {
			pod.Affinity = nil
		}
	}
	encoded, _ := json.Marshal(template) // What was decoded encodes.
	return string(encoded)
}

func applicable(policies placement.Policies, w write) (placement.Applicable, *placement.Question) {
	q := w.question()
	return policies.InNamespace(w.Namespace).Select(q.New, q.Old, w.Conditions), q
}

func decide(policies placement.Policies, w write) placement.Decision {
	selected, q := applicable(policies, w)
	return selected.Decide(q)
}

// apply applies a patch to the JSON form of a DaemonSet.
func apply(t testing.TB, ds *appsv1.DaemonSet, patch placement.Patch) *appsv1.DaemonSet {
	t.Helper()
	raw, err := json.Marshal(ds)
	if err != nil {
		t.Fatalf("encode DaemonSet: %v", err)
	}
	decoded, err := jsonpatch.DecodePatch(patch.AppendJSON(nil))
	if err != nil {
		t.Fatalf("decode patch %s: %v", patch.AppendJSON(nil), err)
	}
	patched, err := decoded.Apply(raw)
	if err != nil {
		t.Fatalf("apply patch %s to %s: %v", patch.AppendJSON(nil), raw, err)
	}
	result := &appsv1.DaemonSet{}
	if err := json.Unmarshal(patched, result); err != nil {
		t.Fatalf("decode patched DaemonSet: %v", err)
	}
	return result
}

func node(name string, labels map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// withAffinity gives the DaemonSet required node affinity with these terms.
func withAffinity(t testing.TB, ds *appsv1.DaemonSet, terms string) {
	t.Helper()
	required := &corev1.NodeSelector{}
	if err := yaml.UnmarshalStrict([]byte("nodeSelectorTerms: "+terms), required); err != nil {
		t.Fatalf("read terms: %v", err)
	}
	ds.Spec.Template.Spec.Affinity = &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required},
	}
}
