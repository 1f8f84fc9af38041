package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// explanation is what the tests read of what berth explain says.
type explanation struct {
	APIVersion, Kind string
	LeftOut          []string
	Policies         []struct {
		Name, Reason string
		Applies      bool
		Items        []struct{ What, Source, Outcome string }
	}
	Placement []writtenBy
	Nodes     struct {
		Total, ShouldRun, Running int
		Groups                    []nodeGroup
	}
	Unknown []string
}

type writtenBy struct{ What, By, Policy, Source, Overridden string }

// nodeGroup is the nodes that are in one state for one reason.
type nodeGroup struct {
	State, Reason string
	Nodes         []struct{ Node, Pod string }
}

// explain runs berth explain, which has to succeed.
func explain(t *testing.T, namespace, name string, flags ...string) explanation {
	t.Helper()
	args := append([]string{"explain", "ds/" + name, "-n", namespace, "-o", "json"}, flags...)
	stdout, _, err := cp.Run(t.Context(), "", berth.Binary, args...)
	if err != nil {
		t.Fatal(err)
	}
	var said explanation
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		t.Fatalf("standard output is not JSON alone: %v\n%s", err, stdout)
	}
	return said
}

// groups is the names of nodes by "State: reason".
func (e explanation) groups() map[string]string {
	groups := map[string]string{}
	for _, group := range e.Nodes.Groups {
		var names []string
		for _, n := range group.Nodes {
			names = append(names, n.Node)
		}
		groups[strings.TrimSuffix(group.State+": "+group.Reason, ": ")] = strings.Join(names, " ")
	}
	return groups
}

// settledPods is the ready pods of a DaemonSet that the controller has settled, by node.
func settledPods(t *testing.T, namespace, name string) (pods map[string]string) {
	t.Helper()
	waitFor(t, namespace+"/"+name+" to settle", func() (bool, string) {
		ds := get(t, namespace, name)
		list, err := cp.Client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(ds.Spec.Selector)})
		if err != nil {
			t.Fatal(err)
		}
		pods = map[string]string{}
		for i := range list.Items {
			if isReady(&list.Items[i]) {
				pods[list.Items[i].Spec.NodeName] = list.Items[i].Name
			}
		}
		status := ds.Status
		return status.ObservedGeneration == ds.Generation && len(list.Items) == len(pods) && int(status.DesiredNumberScheduled) == len(pods) &&
			int(status.NumberReady) == len(pods), fmt.Sprintf("%d pods, status %+v", len(list.Items), status)
	})
	return pods
}

// explainedPods is what pod specs say that decides on nodes.
var explainedPods = []string{
	"",
	"nodeSelector: {e2e-explain: a}",
	"nodeSelector: {e2e-explain: nobody}",
	"nodeSelector: {e2e-explain: a, e2e-zone: z}",
	"hostNetwork: true\nnodeSelector: {e2e-zone: z}",
	"tolerations: [{operator: Exists}]",
	"tolerations: [{key: e2e-taint, operator: Exists, effect: NoSchedule}]",
	"tolerations: [{key: e2e-taint, value: other}]\nnodeSelector: {e2e-zone: z}",
	"tolerations: [{key: e2e-evict, operator: Exists, effect: NoExecute, tolerationSeconds: 3600}]",
	requiring("{key: e2e-explain, operator: In, values: [a, b]}"),
	requiring("{key: e2e-explain, operator: NotIn, values: [a]}"),
	requiring("{key: e2e-explain, operator: Exists}, {key: e2e-zone, operator: DoesNotExist}"),
	requiring("{key: e2e-number, operator: Gt, values: ['5']}"),
	"affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: e2e-explain, operator: In, values: [b]}]}, {matchFields: [{key: metadata.name, operator: In, values: [n-6]}]}]}}}",
	"affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: e2e-zone, operator: Exists}]}}]}}",
	requiring("{key: kubernetes.io/hostname, operator: In, values: [n-1, n-4, n-5]}") + "\nnodeSelector: {e2e-explain: a}",
}

var explainedPolicies = map[string]string{
	"none":         "nodeSelector: {e2e-zone: z}\nmatchConditions: [{name: never, expression: \"false\"}]",
	"labels":       "nodeSelector: {e2e-half: x}\nconflictPolicy: PreferExisting",
	"requirements": "nodeRequirements: [{key: e2e-zone, operator: NotIn, values: ['y']}]\ntolerations: [{key: e2e-taint, operator: Exists}]",
}

func TestExplainKnowsOfEachNodeWhatTheControllerDoes(t *testing.T) {
	labelNodes(t, "e2e-explain", "a", "n-1", "n-2", "n-5")
	labelNodes(t, "e2e-explain", "b", "n-3")
	labelNodes(t, "e2e-zone", "z", "n-2", "n-4")
	labelNodes(t, "e2e-zone", "y", "n-6")
	labelNodes(t, "e2e-number", "7", "n-1")
	labelNodes(t, "e2e-half", "x", "n-1", "n-3", "n-4")
	taintNode(t, "n-4", corev1.Taint{Key: "e2e-taint", Value: "x", Effect: corev1.TaintEffectNoSchedule})
	taintNode(t, "n-5", corev1.Taint{Key: "e2e-evict", Value: "x", Effect: corev1.TaintEffectNoExecute})
	kubectl(t, "", "cordon", "n-6")
	t.Cleanup(func() { _, _, _ = cp.Kubectl(bare(), "", "uncordon", "n-6") })
	var manifests, names []string
	for policy, spec := range explainedPolicies {
		namespace := newNamespace(t, nil)
		applyPolicy(t, namespace, "explain-"+policy, spec)
		for i, pod := range explainedPods {
			name := fmt.Sprintf("agent-%02d", i)
			manifest := strings.ReplaceAll(withMetadata(agent(pod), "namespace: "+namespace), "app: agent", "app: "+name)
			manifests = append(manifests, strings.Replace(manifest, "name: agent", "name: "+name, 1))
			names = append(names, namespace+"/"+name)
		}
	}
	kubectl(t, strings.Join(manifests, "\n---\n"), "create", "-f", "-")
	nodes := nodesByName(t)
	states := map[string]int{}
	for _, name := range names {
		namespace, name, _ := strings.Cut(name, "/")
		want := settledPods(t, namespace, name)
		said, ds := explain(t, namespace, name), get(t, namespace, name)
		got := map[string]string{}
		for _, group := range said.Nodes.Groups {
			states[group.State]++
			for _, n := range group.Nodes {
				if group.State == "Running" {
					got[n.Node] = n.Pod
				} else {
					expectReason(t, ds, nodes[n.Node], group)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s/%s runs (-the controller +berth explain):\n%s", namespace, name, diff)
		}
		if said.Nodes.Total != len(allNodes) || said.Nodes.ShouldRun != len(want) {
			t.Errorf("%s/%s: %d of %d nodes, not %d of %d", namespace, name, said.Nodes.ShouldRun, said.Nodes.Total, len(want), len(allNodes))
		}
	}
	t.Logf("%d DaemonSets, groups by state: %v", len(names), states)
	if len(names) < 40 || states["Running"] < 30 || states["Tainted"] < 20 || states["Excluded"] < 30 {
		t.Error("too few of them")
	}
}

func nodesByName(t *testing.T) map[string]*corev1.Node {
	t.Helper()
	list, err := cp.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]*corev1.Node{}
	for i := range list.Items {
		nodes[list.Items[i].Name] = &list.Items[i]
	}
	return nodes
}

// expectReason checks that the reason is true: the node has the taint, or lacks the label, or the template has the expression.
func expectReason(t *testing.T, ds *appsv1.DaemonSet, node *corev1.Node, group nodeGroup) {
	t.Helper()
	isTrue := false
	kind, rest, _ := strings.Cut(group.Reason, " ")
	switch kind {
	case "taint":
		taint, _, _ := strings.Cut(rest, " ")
		isTrue = group.State == "Tainted" && slices.ContainsFunc(node.Spec.Taints, func(has corev1.Taint) bool { return has.ToString() == taint })
	case "no":
		for label := range strings.SplitSeq(strings.TrimPrefix(rest, "label "), ", ") {
			key, value, _ := strings.Cut(label, "=")
			isTrue = group.State == "Excluded" && node.Labels[key] != value && ds.Spec.Template.Spec.NodeSelector[key] == value
		}
	case "required", "none":
		for _, key := range []string{"e2e-explain", "e2e-zone", "e2e-number", "kubernetes.io/hostname"} {
			isTrue = isTrue || group.State == "Excluded" && strings.Contains(rest, key+" ")
		}
	}
	if !isTrue {
		t.Errorf("%s on %s, labels %v, taints %v: %s: %q is not why", ds.Name, node.Name, node.Labels, node.Spec.Taints, group.State, group.Reason)
	}
}

func TestExplainSaysWhatKeepsAPodFromRunning(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-explain", "stuck", "n-1", "n-2")
	const on = "nodeSelector: {e2e-explain: stuck}"
	ports := strings.Replace(agent(on), `image: "agent:1"`, `image: "agent:1", ports: [{containerPort: 80, hostPort: 4711}]`, 1)
	large := strings.Replace(agent(on), `image: "agent:1"`, `image: "agent:1", resources: {requests: {cpu: "5000"}}`, 1)
	named := func(manifest, name string) string {
		return strings.ReplaceAll(strings.Replace(manifest, "{name: agent}", "{name: "+name+"}", 1), "app: agent", "app: "+name)
	}
	create(t, namespace, named(ports, "first"))
	settledPods(t, namespace, "first")
	create(t, namespace, named(ports, "second"))
	create(t, namespace, named(large, "large"))
	gated := "schedulingGates: [{name: example.com/gate}]\n" + on
	create(t, namespace, named(agent(gated), "gated"))
	waitFor(t, "two pods of each", func() (bool, string) {
		pods := kubectl(t, "", "get", "pods", "-n", namespace, "-o", "name")
		return strings.Count(pods, "pod/") == 8, pods
	})
	kubectl(t, "", "create", "quota", "none", "-n", namespace, "--hard=pods=0")
	create(t, namespace, named(agent(on), "quota"))
	for name, want := range map[string]string{
		"second": "Unschedulable: other pods are in the way: node(s) didn't have free ports for the requested pod ports",
		"large":  "Unschedulable: no room on the node: Insufficient cpu",
		"gated":  "Missing: the pod waits for its scheduling gate example.com/gate",
		"quota":  "Missing: the DaemonSet controller cannot create the pod: exceeded quota: none, requested: pods=1, used: pods=8, limited: pods=0",
	} {
		waitFor(t, name+": "+want, func() (bool, string) {
			groups := explain(t, namespace, name).groups()
			return groups[want] == "n-1 n-2", fmt.Sprint(groups)
		})
	}
}

func TestExplainFollowsANodeThatIsTaintedAndTheTemplateThatTheControllerReplaces(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-explain", "later", "n-1", "n-2", "n-3")
	create(t, namespace, agent("nodeSelector: {e2e-explain: later}"))
	before := settledPods(t, namespace, "agent")
	taintNode(t, "n-2", corev1.Taint{Key: "e2e-later", Value: "x", Effect: corev1.TaintEffectNoSchedule})
	said := explain(t, namespace, "agent").groups()
	if got := said["RunsUntilReplaced: taint e2e-later=x:NoSchedule is not tolerated"]; got != "n-2" {
		t.Errorf("tainted after its pod came: %v", said)
	}
	kubectl(t, "", "patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p", `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`)
	setImage(t, namespace, "agent:2")
	waitFor(t, "the controller to see the new template", func() (bool, string) {
		ds := get(t, namespace, "agent")
		return ds.Status.ObservedGeneration == ds.Generation, fmt.Sprint(ds.Generation)
	})
	said = explain(t, namespace, "agent").groups()
	if got := said["Running: of an earlier template: updateStrategy OnDelete replaces the pod when somebody deletes it"]; got != "n-1 n-3" {
		t.Errorf("of an earlier template: %v", said)
	}
	stdout, _, err := cp.Run(t.Context(), "", berth.Binary, "explain", "daemonset", "agent", "-n", namespace, "--node", "n-2")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("Pod %s of DaemonSet %s/agent runs on node n-2, though it should not: it stays until it is replaced.\n"+
		"The node has the taint e2e-later=x:NoSchedule, which the pod template does not tolerate.\n", before["n-2"], namespace)
	if stdout != want {
		t.Errorf("of n-2 it says\n%s\nnot\n%s", stdout, want)
	}
}

func TestExplainRefusesWhatItCannotAnswer(t *testing.T) {
	for args, want := range map[string]string{
		"explain ds/nobody":                        "error: there is no DaemonSet nobody in namespace default: name another one with -n\n",
		"explain deployment/x":                     "error: \"deployment/x\" is no DaemonSet, and berth knows of no others: say ds/NAME\n",
		"explain ds/a ds/b":                        "error: 2 DaemonSets are named: one at a time can be explained\n",
		"explain ds/a --kubeconfig /nowhere":       "error: find the API server: stat /nowhere: no such file or directory\n",
		"wait ds/nobody":                           "error: there is no DaemonSet nobody in namespace default: name another one with -n\n",
		"wait":                                     "error: no DaemonSet is named: say ds/NAME, -l SELECTOR or --all\n",
		"wait ds/x --all":                          "error: name DaemonSets, or say -l SELECTOR, or --all: one of the three\n",
		"wait ds/x --min-nodes=150%":               "error: --min-nodes=150%: must be a number of nodes or a share of all nodes, such as 3 or 50%\n",
		"wait -l e2e-explain-nobody=x --timeout 0": "error: no DaemonSet is selected: see kubectl get daemonsets -A --show-labels\n",
	} {
		stdout, stderr, err := cp.Run(t.Context(), "", berth.Binary, strings.Fields(args)...)
		if exitCode(err) != 2 || stderr != want || stdout != "" {
			t.Errorf("berth %s: %v, %q, want\n%q", args, err, stdout+stderr, want)
		}
	}
}
