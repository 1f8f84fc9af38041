package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// poolPolicy requires a literal label of one namespace's DaemonSets.
const poolPolicy = `
apiVersion: berth.dev/v1alpha1
kind: PlacementPolicy
metadata:
  name: infra-pool
spec:
  matchConstraints:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: %s
  nodeSelector:
    example.com/pool: infra
`

// injection is what berth may add to a DaemonSet, and how it records that.
type injection struct {
	policy           string
	NodeSelector     map[string]string                `json:"nodeSelector,omitempty"`
	NodeRequirements []corev1.NodeSelectorRequirement `json:"nodeRequirements,omitempty"`
}

func TestDaemonSetsAsPeopleShipThemDifferOnlyByWhatBerthInjects(t *testing.T) {
	plain, own, pool := newNamespace(t, nil), newNamespace(t, enabled), newNamespace(t, nil)
	applyPoolPolicy(t, pool)

	files, err := os.ReadDir("testdata/manifests")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 10 {
		t.Fatalf("there are %d manifests, not 10", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file.Name(), ".yaml"), func(t *testing.T) {
			manifest := readFile(t, "testdata/manifests/"+file.Name())
			stored := func(namespace string) *appsv1.DaemonSet {
				kubectl(t, manifest, "create", "-n", namespace, "-f", "-")
				return get(t, namespace, parse(t, manifest).Name)
			}
			without := stored(plain)
			if diff := cmp.Diff(alike(injected(t, without, ownLabels(without))), alike(stored(own))); diff != "" {
				t.Errorf("with own-label (-without berth, plus the selector; +with berth):\n%s", diff)
			}
			literal := injection{policy: "infra-pool", NodeSelector: map[string]string{"example.com/pool": "infra"}}
			if diff := cmp.Diff(alike(injected(t, without, literal)), alike(stored(pool))); diff != "" {
				t.Errorf("with a literal nodeSelector (-without berth, plus the label; +with berth):\n%s", diff)
			}
		})
	}
}

func applyPoolPolicy(t *testing.T, namespace string) {
	t.Helper()
	kubectl(t, fmt.Sprintf(poolPolicy, namespace), "apply", "-f", "-")
	t.Cleanup(func() {
		if _, _, err := cp.Kubectl(bare(), "", "delete", "placementpolicy", "infra-pool"); err != nil {
			t.Error(err)
		}
	})
	kubectl(t, "", "wait", "--for=condition=Ready", "--timeout=60s", "placementpolicy/infra-pool")
	waitFor(t, "the policy to be in force", func() (bool, string) {
		dryRun, err := cp.Client.AppsV1().DaemonSets(namespace).Create(t.Context(), parse(t, tutorial(t)), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && dryRun.Spec.Template.Spec.NodeSelector["example.com/pool"] == "infra", fmt.Sprint(err)
	})
}

// ownLabels is what the default policy takes from a DaemonSet's selector.
func ownLabels(ds *appsv1.DaemonSet) injection {
	add := injection{policy: "own-label", NodeSelector: map[string]string{}}
	for key, value := range ds.Spec.Selector.MatchLabels {
		if ds.Spec.Template.Spec.NodeSelector[key] != value {
			add.NodeSelector[key] = value
		}
	}
	for _, expression := range ds.Spec.Selector.MatchExpressions {
		add.NodeRequirements = append(add.NodeRequirements, corev1.NodeSelectorRequirement{
			Key: expression.Key, Operator: corev1.NodeSelectorOperator(expression.Operator), Values: expression.Values,
		})
	}
	return add
}

// injected is the DaemonSet as it would be with the injection and no other change.
func injected(t *testing.T, ds *appsv1.DaemonSet, add injection) *appsv1.DaemonSet {
	t.Helper()
	ds = ds.DeepCopy()
	pod := &ds.Spec.Template.Spec
	if pod.NodeSelector == nil {
		pod.NodeSelector = map[string]string{}
	}
	maps.Copy(pod.NodeSelector, add.NodeSelector)
	made := ""
	if len(add.NodeRequirements) > 0 {
		switch {
		case pod.Affinity == nil:
			made = "affinity"
		case pod.Affinity.NodeAffinity == nil:
			made = "nodeAffinity"
		case pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil:
			made = "required"
		}
		affinity := requiredTerms(pod)
		for i := range affinity.NodeSelectorTerms {
			term := &affinity.NodeSelectorTerms[i]
			term.MatchExpressions = slices.Concat(term.MatchExpressions, add.NodeRequirements)
		}
	}
	receipt, err := json.Marshal(struct {
		Version  int                  `json:"version"`
		Policies map[string]injection `json:"policies"`
		Made     string               `json:"made,omitempty"`
	}{2, map[string]injection{add.policy: add}, made})
	if err != nil {
		t.Fatal(err)
	}
	if ds.Annotations == nil {
		ds.Annotations = map[string]string{}
	}
	ds.Annotations[injectedAnnotation] = string(receipt)
	return ds
}

// requiredTerms makes what is missing of a required node affinity.
func requiredTerms(pod *corev1.PodSpec) *corev1.NodeSelector {
	if pod.Affinity == nil {
		pod.Affinity = &corev1.Affinity{}
	}
	if pod.Affinity.NodeAffinity == nil {
		pod.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	required := &pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if *required == nil {
		*required = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}
	}
	return *required
}

// alike leaves out what differs between any two objects.
func alike(ds *appsv1.DaemonSet) *appsv1.DaemonSet {
	ds = ds.DeepCopy()
	ds.ObjectMeta = metav1.ObjectMeta{Name: ds.Name, Labels: ds.Labels, Annotations: ds.Annotations, Generation: ds.Generation}
	delete(ds.Annotations, appsv1.DeprecatedTemplateGeneration)
	ds.Status = appsv1.DaemonSetStatus{}
	return ds
}
