package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// checkedPolicies is, by name, what a policy for a namespace of its own says.
var checkedPolicies = map[string]string{
	"selector":        "nodeSelectorFrom: [{type: WorkloadSelector}]",
	"selector-prefer": "nodeSelectorFrom: [{type: WorkloadSelector}]\nconflictPolicy: PreferExisting",
	"reject":          "nodeSelector: {e2e-check: a}",
	"existing":        "nodeSelector: {e2e-check: a}\nconflictPolicy: PreferExisting",
	"policy":          "nodeSelector: {e2e-check: a, kubernetes.io/os: linux}\nconflictPolicy: PreferPolicy",
	"warn":            "nodeSelector: {e2e-check: a}\nvalidationActions: [Warn]",
	"audit":           "nodeSelector: {e2e-check: a}\nmode: Audit",
	"namespace":       "nodeSelectorFrom: [{type: NamespaceAnnotation, namespaceAnnotation: {key: e2e.check/place}}]",
	"workload":        "nodeSelectorFrom: [{type: WorkloadAnnotation, workloadAnnotation: {allowedKeys: [e2e-check]}}]",
	"requirements":    "nodeRequirements: [{key: e2e-check, operator: NotIn, values: [b]}, {key: e2e-check, operator: Exists}]",
	"tolerations":     "tolerations: [{key: e2e, operator: Exists, effect: NoSchedule}, {key: gpu, value: x}]",
	"checks":          "nodeSelector: {e2e-check: a}\nnodeChecks: {minMatchingNodes: 3, validationActions: [Deny]}",
	"conditions":      "nodeSelector: {e2e-check: a}\nmatchConditions: [{name: only, expression: \"object.spec.template.spec.?nodeSelector.orValue({}).size() == 0\"}]",
	"failing":         "nodeSelector: {e2e-check: a}\nmatchConditions: [{name: only, expression: \"object.spec.template.spec.hostNetwork == true\"}]",
}

// checkedPods is the fields of pods that the policies are asked about, with annotations before "|".
var checkedPods = []string{
	"|",
	"|nodeSelector: {e2e-check: a}",
	"|nodeSelector: {e2e-check: b}",
	"|nodeSelector: {e2e-check: ''}",
	"|nodeSelector: {app: other, kubernetes.io/os: windows}",
	"|nodeSelector: {e2e-check: nobody, other: x}",
	"|nodeName: n-1",
	"|priorityClassName: system-node-critical\nnodeSelector: {e2e-check: b}",
	"|hostNetwork: true",
	"|hostNetwork: true\nnodeSelector: {e2e-check: b}",
	"|tolerations: [{operator: Exists}]",
	"|tolerations: [{key: e2e, operator: Exists}, {key: gpu, value: x, effect: NoExecute, tolerationSeconds: 5}]",
	"|tolerations: [{key: e2e, operator: Exists, effect: NoSchedule}]",
	"|" + requiring("{key: e2e-check, operator: In, values: [a]}"),
	"|" + requiring("{key: e2e-check, operator: In, values: [b, c]}"),
	"|" + requiring("{key: e2e-check, operator: NotIn, values: [b]}"),
	"|" + requiring("{key: e2e-check, operator: Exists}, {key: zone, operator: DoesNotExist}"),
	"|affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}, {matchExpressions: [{key: e2e-check, operator: Exists}]}]}}}",
	"|affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: a, operator: Exists}]}}]}}",
	"berth.dev/node-selector: e2e-check=a|",
	"berth.dev/node-selector: 'e2e-check=a,zone=x'|",
	"berth.dev/node-selector: 'e2e-check=b'|nodeSelector: {e2e-check: a}",
	"berth.dev/node-selector: 'no label'|",
	"berth.dev/node-selector: ''|nodeSelector: {e2e-check: a}",
}

// checkedManifest is the question with the number i, in a namespace.
func checkedManifest(namespace string, i int) string {
	annotations, pod, _ := strings.Cut(checkedPods[i], "|")
	manifest := withMetadata(agent(pod), fmt.Sprintf("namespace: %s, annotations: {%s}", namespace, annotations))
	return strings.Replace(manifest, "name: agent", fmt.Sprintf("name: agent-%02d", i), 1)
}

// An answer is what becomes of a DaemonSet: what is stored of it, or why it is not.
type answer struct {
	Stored   string
	Denied   []string
	Warnings []string
}

func answerOf(ds *appsv1.DaemonSet) string {
	return placementOf(&ds.Spec.Template.Spec) + ds.Annotations[injectedAnnotation]
}

func placementOf(pod *corev1.PodSpec) string {
	encoded, _ := json.Marshal([]any{pod.NodeSelector, pod.Affinity, pod.Tolerations}) // of the API's types
	return string(encoded)
}

// warnings keeps what the API server warns of.
type warnings struct {
	sync.Mutex
	texts []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.Lock()
	defer w.Unlock()
	w.texts = append(w.texts, text)
}

// serverAnswers asks the API server, by a dry run.
func serverAnswers(t *testing.T, manifest string) answer {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	heard := &warnings{}
	config.WarningHandler, config.QPS = heard, -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ds := parse(t, manifest)
	created, err := client.AppsV1().DaemonSets(ds.Namespace).Create(t.Context(), ds, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	a := answer{Warnings: heard.texts}
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok && status.Status().Details != nil {
		for _, cause := range status.Status().Details.Causes {
			a.Denied = append(a.Denied, cause.Field+": "+cause.Message)
		}
		return a
	} else if err != nil {
		t.Fatal(err)
	}
	a.Stored = answerOf(created)
	return a
}

// checked is what berth check says of one DaemonSet.
type checked struct {
	Namespace, Name string
	Patch           json.RawMessage
	Placement       *corev1.PodSpec // of which the report has three fields
	Findings        []struct{ Rule, Message string }
}

// check runs berth check, which has to find an error.
func check(t *testing.T, input string, flags ...string) []checked {
	t.Helper()
	stdout, _, err := cp.Run(t.Context(), input, berth.Binary, append([]string{"check", "-f", "-", "-o", "json", "--as", "berth-testbed-admin"}, flags...)...)
	if exitCode(err) != 1 {
		t.Fatalf("berth check ended with %v, not with 1", err)
	}
	var said struct{ DaemonSets []checked }
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		t.Fatal(err)
	}
	return said.DaemonSets
}

// checkAnswers asks berth check about all at once, by name.
func checkAnswers(t *testing.T, input string, manifests []string, flags ...string) map[string]answer {
	t.Helper()
	written := map[string]*appsv1.DaemonSet{}
	for _, manifest := range manifests {
		ds := parse(t, manifest)
		written[ds.Namespace+"/"+ds.Name] = ds
	}
	answers := map[string]answer{}
	for _, ds := range check(t, input+"\n---\n"+strings.Join(manifests, "\n---\n"), flags...) {
		name, a := ds.Namespace+"/"+ds.Name, answer{}
		for _, finding := range ds.Findings {
			switch finding.Rule {
			case "policy-violation":
				a.Denied = append(a.Denied, finding.Message)
			case "policy-warning":
				a.Warnings = append(a.Warnings, finding.Message)
			}
		}
		if a.Denied == nil {
			a.Stored = answerOf(patched(t, written[name], ds.Patch))
		}
		answers[name] = a
	}
	return answers
}

func patched(t *testing.T, ds *appsv1.DaemonSet, patch json.RawMessage) *appsv1.DaemonSet {
	t.Helper()
	if patch == nil {
		return ds
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(ds)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = operations.Apply(raw); err != nil {
		t.Fatal(err)
	}
	after := &appsv1.DaemonSet{}
	if err := json.Unmarshal(raw, after); err != nil {
		t.Fatal(err)
	}
	return after
}

func TestCheckSaysBeforeWhatTheAPIServerAnswers(t *testing.T) {
	labelNodes(t, "e2e-check", "a", "n-1", "n-2")
	labelNodes(t, "e2e-check", "b", "n-3")
	var manifests []string
	for name, spec := range checkedPolicies {
		namespace := newNamespace(t, nil)
		annotateNamespace(t, namespace, "e2e.check/place=e2e-check=a")
		applyPolicy(t, namespace, "check-"+name, spec)
		for i := range checkedPods {
			manifests = append(manifests, checkedManifest(namespace, i))
		}
	}
	facts := kubectl(t, "", "get", "nodes,namespaces,placementpolicies", "-o", "yaml")
	offline := checkAnswers(t, facts, manifests)
	live := checkAnswers(t, "", manifests, "--kubeconfig", cp.Kubeconfig)
	if diff := cmp.Diff(offline, live); diff != "" {
		t.Errorf("berth check (-with files +with the cluster):\n%s", diff)
	}
	denied, changed, warned := 0, 0, 0
	for _, manifest := range manifests {
		ds := parse(t, manifest)
		name := ds.Namespace + "/" + ds.Name
		want, got := serverAnswers(t, manifest), offline[name]
		slices.Sort(want.Denied)
		slices.Sort(got.Denied)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-the API server +berth check):\n%s\n%s", name, diff, manifest)
		}
		switch {
		case want.Denied != nil:
			denied++
		case want.Stored != answerOf(ds):
			changed++
		}
		if want.Warnings != nil {
			warned++
		}
	}
	t.Logf("%d questions: %d denied, %d changed, %d with warnings", len(manifests), denied, changed, warned)
	if len(manifests) < 300 || denied < 50 || changed < 50 || warned < 20 {
		t.Error("too few of them")
	}
}

func TestCheckOfAClusterSaysWhatKubectlApplyWouldGet(t *testing.T) {
	labelNodes(t, "e2e-check", "a", "n-1")
	var before, after []string
	namespaces := map[string]string{}
	for _, name := range []string{"policy", "requirements", "workload"} {
		namespaces[name] = newNamespace(t, nil)
		for i := range checkedPods {
			// What another one was is what this one becomes; some of the first are never stored.
			manifest := checkedManifest(namespaces[name], i)
			next := checkedManifest(namespaces[name], (i+5)%len(checkedPods))
			before = append(before, manifest)
			after = append(after, strings.Replace(next, fmt.Sprintf("name: agent-%02d", (i+5)%len(checkedPods)), fmt.Sprintf("name: agent-%02d", i), 1))
		}
	}
	for name, namespace := range namespaces {
		applyPolicy(t, namespace, "apply-"+name, checkedPolicies[name])
	}
	if _, _, err := cp.Kubectl(t.Context(), strings.Join(before, "\n---\n"), "apply", "-f", "-"); err == nil {
		t.Fatal("all are applied, and some should be denied")
	}
	deleteHeld(t, namespaces["policy"], "agent-00")
	want, got := map[string]string{}, map[string]string{}
	for _, manifest := range after {
		stdout, _, err := cp.Kubectl(t.Context(), manifest, "apply", "--dry-run=server", "-o", "yaml", "-f", "-")
		if err == nil {
			ds := parse(t, stdout)
			want[ds.Namespace+"/"+ds.Name] = placementOf(&ds.Spec.Template.Spec)
		}
	}
	updates := 0
	for _, ds := range check(t, strings.Join(after, "\n---\n"), "--kubeconfig", cp.Kubeconfig) {
		if ds.Placement == nil {
			continue
		}
		name := ds.Namespace + "/" + ds.Name
		got[name] = placementOf(ds.Placement)
		if _, err := cp.Client.AppsV1().DaemonSets(ds.Namespace).Get(t.Context(), ds.Name, metav1.GetOptions{}); err == nil {
			updates++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is stored (-kubectl apply --dry-run=server +berth check):\n%s", diff)
	}
	if deleted := got[namespaces["policy"]+"/agent-00"]; !strings.Contains(deleted, `"e2e-check":"nobody"`) { // as its author says
		t.Errorf("the one that is being deleted becomes %q", deleted)
	}
	t.Logf("%d questions: %d allowed updates, %d denied", len(after), updates, len(after)-len(got))
	if updates < 40 || len(after) == len(got) {
		t.Error("too few of them")
	}
}
