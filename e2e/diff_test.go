package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
)

// diffMove is what berth diff says of one DaemonSet at one moment.
type diffMove struct {
	Namespace, Name, When string
	Gained                []string
	Lost, Stays           []struct{ Nodes []string }
	Denied                []string
}

// diff runs berth diff on the cluster, and returns what moves in a namespace.
func diff(t *testing.T, namespace string, flags ...string) (moves []diffMove) {
	t.Helper()
	stdout, _, err := cp.Run(t.Context(), "", berth.Binary, append([]string{"diff", "-o", "json", "--kubeconfig", readerKubeconfig(t)}, flags...)...)
	if code := exitCode(err); code != 0 && code != 1 {
		t.Fatalf("berth diff ended with %v", err)
	}
	var said struct{ Moves []diffMove }
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		t.Fatal(err)
	}
	if (err != nil) != (len(said.Moves) > 0) {
		t.Errorf("berth diff ended with %v, and %d move", err, len(said.Moves))
	}
	return slices.DeleteFunc(said.Moves, func(m diffMove) bool { return m.Namespace != namespace })
}

// readerKubeconfig is that of a user who may read what berth diff reads, and nothing else.
func readerKubeconfig(t *testing.T) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(cp.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "e2e-diff"
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	role := kubectl(t, "", "create", "clusterrole", "e2e-diff", "--verb=list", "--resource=placementpolicies.berth.dev,nodes,namespaces,daemonsets.apps,pods,limitranges,runtimeclasses.node.k8s.io", "--dry-run=client", "-o", "yaml")
	binding := kubectl(t, "", "create", "clusterrolebinding", "e2e-diff", "--clusterrole=e2e-diff", "--user=e2e-diff", "--dry-run=client", "-o", "yaml")
	kubectl(t, role+"---\n"+binding, "apply", "-f", "-")
	return file
}

// podsOf is the running pods of a namespace by DaemonSet and node, each with its UID.
func podsOf(t *testing.T, namespace string) map[string]types.UID {
	t.Helper()
	list, err := cp.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pods := map[string]types.UID{}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			pods[metav1.GetControllerOf(pod).Name+" "+pod.Spec.NodeName] = pod.UID
		}
	}
	return pods
}

// predicted is what becomes of pods by the moves: those that go, those that are as they were, and "new" for those that come.
func predicted(pods map[string]types.UID, moves []diffMove) map[string]types.UID {
	after := maps.Clone(pods)
	for _, move := range moves {
		for _, group := range move.Lost {
			for _, node := range group.Nodes {
				delete(after, move.Name+" "+node)
			}
		}
		for _, node := range move.Gained {
			after[move.Name+" "+node] = "new"
		}
	}
	return after
}

// expectPredicted waits until the pods are those that were predicted.
func expectPredicted(t *testing.T, namespace string, before, want map[string]types.UID) {
	t.Helper()
	waitFor(t, "the pods that berth diff said", func() (bool, string) {
		got := podsOf(t, namespace)
		for name, uid := range got {
			if before[name] != uid {
				got[name] = "new"
			}
		}
		return maps.Equal(want, got), cmp.Diff(want, got)
	})
}

// writable is all that a diff could write, but for status, which controllers write.
func writable(t *testing.T) string {
	t.Helper()
	return kubectl(t, "", "get", "nodes,namespaces,daemonsets,placementpolicies", "-A", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name} {.metadata.generation} {.metadata.labels} {.metadata.annotations} {.spec.taints}{"\n"}{end}`)
}

// diffedPods is what the templates of DaemonSets say of nodes.
var diffedPods = map[string]string{
	"all":        "",
	"labelled":   "nodeSelector: {e2e-diff: a}",
	"tolerating": "tolerations: [{key: e2e-diff, operator: Exists}]",
	"schedules":  "tolerations: [{key: e2e-diff, operator: Exists, effect: NoSchedule}]",
	"required":   requiring("{key: e2e-diff, operator: In, values: [a, b]}"),
	"unlabelled": requiring("{key: e2e-diff, operator: DoesNotExist}"),
	"bound":      "nodeName: n-4",
}

// createDiffed creates the DaemonSets, and waits until all have their pods.
func createDiffed(t *testing.T, namespace string) {
	t.Helper()
	for name, pod := range diffedPods {
		create(t, namespace, strings.ReplaceAll(agent(pod), "agent", name))
	}
	all := []string{"n-1", "n-2", "n-3", "n-4", "n-5", "n-6"}
	for name, nodes := range map[string][]string{
		"all": all, "labelled": {"n-1", "n-2"}, "tolerating": all, "schedules": all, "required": {"n-1", "n-2", "n-3"},
		"unlabelled": {"n-4", "n-5", "n-6"}, "bound": {"n-4"},
	} {
		expectPods(t, namespace, name, nodes...)
	}
}

func TestDiffSaysWhichPodsAChangeOfNodesDeletesAndMakes(t *testing.T) {
	labelNodes(t, "e2e-diff", "a", "n-1", "n-2")
	labelNodes(t, "e2e-diff", "b", "n-3")
	t.Cleanup(func() {
		for _, node := range allNodes {
			_, _, _ = cp.Kubectl(bare(), "", "taint", "node", node, "e2e-diff-") // where it has one
			_, _, _ = cp.Kubectl(bare(), "", "label", "node", node, "e2e-diff-")
		}
	})
	namespace := newNamespace(t, nil)
	createDiffed(t, namespace)
	lost, gained, stays := 0, 0, 0
	for _, step := range []struct {
		flags    []string
		commands []string
	}{
		{[]string{"--taint=n-1:e2e-diff=x:NoExecute"}, []string{"taint node n-1 e2e-diff=x:NoExecute"}},
		{[]string{"--taint=n-2:e2e-diff:NoSchedule"}, []string{"taint node n-2 e2e-diff:NoSchedule"}},
		// Pods run on n-2 that nobody would place there again: that the label goes ends those, too.
		{[]string{"--unlabel=n-2:e2e-diff", "--label=n-5:e2e-diff=a"}, []string{"label node n-2 e2e-diff-", "label node n-5 e2e-diff=a"}},
		{[]string{"--taint=n-1:e2e-diff-", "--taint=n-2:e2e-diff:NoExecute"}, []string{"taint node n-1 e2e-diff-", "taint node n-2 e2e-diff:NoExecute"}},
		{[]string{"--taint=n-2:e2e-diff-"}, []string{"taint node n-2 e2e-diff-"}},
		{[]string{"--label=e2e-diff=a:e2e-diff-"}, []string{"label node -l e2e-diff=a e2e-diff-"}},
	} {
		before, was := podsOf(t, namespace), writable(t)
		moves := diff(t, namespace, step.flags...)
		if is := writable(t); was != is {
			t.Errorf("something was written meanwhile:\n%s", cmp.Diff(was, is))
		}
		if len(moves) == 0 {
			t.Errorf("%q moves nothing", step.flags)
		}
		for _, move := range moves {
			if move.When != "AtOnce" {
				t.Errorf("%q moves %+v", step.flags, move)
			}
			lost, gained, stays = lost+len(move.Lost), gained+len(move.Gained), stays+len(move.Stays)
		}
		for _, command := range step.commands {
			kubectl(t, "", strings.Fields(command)...)
		}
		expectPredicted(t, namespace, before, predicted(before, moves))
		t.Logf("%q: %d moves", step.flags, len(moves))
	}
	if lost == 0 || gained == 0 || stays == 0 {
		t.Errorf("lost on %d, gained on %d, stays on %d", lost, gained, stays)
	}
}

func TestDiffSaysWhatAPolicyWillMoveAndWhen(t *testing.T) {
	labelNodes(t, "e2e-diff", "a", "n-1", "n-2")
	labelNodes(t, "e2e-diff", "b", "n-2", "n-3")
	namespace := newNamespace(t, nil)
	create(t, namespace, agent(""))
	expectPods(t, namespace, "agent", allNodes...)
	for _, step := range []struct {
		spec string
		when string
		act  func()
	}{
		{"nodeSelector: {e2e-diff: a}", "AtNextRollout", func() { setImage(t, namespace, "agent:2") }},
		{"nodeSelector: {e2e-diff: b}\nupdatePolicy: Always", "AtNextWrite", func() { kubectl(t, "", "annotate", "-n", namespace, "daemonset/agent", "a=b") }},
		{"", "AtNextRollout", func() { setImage(t, namespace, "agent:3") }},
	} {
		flags := []string{"--delete=e2e-diff"}
		if step.spec != "" {
			file := filepath.Join(t.TempDir(), "policy.yaml")
			if err := os.WriteFile(file, []byte(policyManifest(t, namespace, "e2e-diff", step.spec)), 0o600); err != nil {
				t.Fatal(err)
			}
			flags = []string{"--policies", file}
		}
		before, was := podsOf(t, namespace), writable(t)
		moves := diff(t, namespace, flags...)
		if is := writable(t); was != is {
			t.Errorf("something was written meanwhile:\n%s", cmp.Diff(was, is))
		}
		if len(moves) != 1 || moves[0].When != step.when {
			t.Fatalf("%s: moves %+v", step.spec, moves)
		}
		if step.spec != "" {
			applyPolicy(t, namespace, "e2e-diff", step.spec)
		} else {
			deletePolicy(t, "e2e-diff")
			berthKnows(t)
		}
		if diff := cmp.Diff(before, podsOf(t, namespace)); diff != "" {
			t.Errorf("%s: the policy alone moves (-before +after):\n%s", step.spec, diff)
		}
		step.act()
		var nodes []string
		for name := range predicted(before, moves) {
			_, node, _ := strings.Cut(name, " ")
			nodes = append(nodes, node)
		}
		slices.Sort(nodes)
		t.Logf("%q: pods on %v", step.spec, nodes)
		kubectl(t, "", "rollout", "status", "-n", namespace, "daemonset/agent")
		expectPods(t, namespace, "agent", nodes...)
	}
}

func TestDiffSaysWhatApplyingADaemonSetMoves(t *testing.T) {
	labelNodes(t, "e2e-diff", "a", "n-1", "n-2")
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "e2e-diff-apply", "nodeSelector: {kubernetes.io/os: linux}")
	kubectl(t, agent(""), "apply", "-n", namespace, "-f", "-")
	expectPods(t, namespace, "agent", allNodes...)
	manifests := withMetadata(agent("nodeSelector: {e2e-diff: a}"), "namespace: "+namespace) + "---\n" +
		strings.ReplaceAll(withMetadata(agent(""), "namespace: "+namespace), "agent", "more") + "---\n" +
		strings.ReplaceAll(withMetadata(agent("nodeSelector: {kubernetes.io/os: windows}"), "namespace: "+namespace), "agent", "denied")
	file := filepath.Join(t.TempDir(), "agents.yaml")
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	moves := diff(t, namespace, "-f", file)
	var got []string
	for _, move := range moves {
		var lost []string
		for _, group := range move.Lost {
			lost = append(lost, group.Nodes...)
		}
		got = append(got, fmt.Sprintf("%s %s +%v -%v %d", move.Name, move.When, move.Gained, lost, len(move.Denied)))
	}
	want := []string{
		"agent WhenApplied +[] -[n-3 n-4 n-5 n-6] 0", "denied WhenApplied +[] -[] 1", "more WhenApplied +[n-1 n-2 n-3 n-4 n-5 n-6] -[] 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
	if _, stderr, err := cp.Kubectl(t.Context(), manifests, "apply", "-f", "-"); err == nil || !strings.Contains(stderr, "denied") {
		t.Errorf("kubectl apply: %v, %s", err, stderr)
	}
	expectPods(t, namespace, "agent", "n-1", "n-2")
	expectPods(t, namespace, "more", allNodes...)
}
