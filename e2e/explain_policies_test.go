package e2e_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func TestExplainSaysWhoWroteWhatHoweverItWasWritten(t *testing.T) {
	labelNodes(t, "e2e-explain", "who", "n-1")
	for name, args := range map[string][]string{
		"create":             {"create"},
		"client-side apply":  {"apply"},
		"server-side apply":  {"apply", "--server-side"},
		"apply, and again":   {"apply"},
		"server-side, again": {"apply", "--server-side"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t, nil)
			applyPolicy(t, namespace, "who", `
nodeSelector: {e2e-explain: who, e2e-mine: x}
nodeRequirements: [{key: e2e-virtual, operator: NotIn, values: ["yes"]}]
tolerations: [{key: e2e-gpu, operator: Exists}]
`)
			applyPolicy(t, namespace, "prefer", "nodeSelector: {e2e-disk: ssd}\nconflictPolicy: PreferPolicy")
			applyPolicy(t, namespace, "waits", "nodeSelector: {e2e-late: x}\nupdatePolicy: CreateOnly\nmatchConditions: [{name: later, expression: \"has(object.metadata.labels) && has(object.metadata.labels.late)\"}]")
			manifest := agent("nodeSelector: {e2e-mine: x, e2e-disk: hdd, e2e-own: 'y'}\n" +
				"tolerations: [{key: own, operator: Exists}]\n" + requiring("{key: e2e-own, operator: Exists}"))
			write := func() { kubectl(t, manifest, slices.Concat(args, []string{"-n", namespace, "-f", "-"})...) }
			write()
			if strings.Contains(name, "again") {
				write()
			}
			said := explain(t, namespace, "agent")
			want := []writtenBy{
				{What: "e2e-disk=ssd", By: "Berth", Policy: "prefer", Source: "its nodeSelector", Overridden: "e2e-disk=hdd"},
				{What: "e2e-explain=who", By: "Berth", Policy: "who", Source: "its nodeSelector"},
				{What: "e2e-mine=x", By: "Author", Policy: "who", Source: "its nodeSelector"},
				{What: "e2e-own=y", By: "Author"},
				{What: "e2e-own Exists", By: "Author"},
				{What: "e2e-virtual NotIn [yes]", By: "Berth", Policy: "who", Source: "its nodeRequirements"},
				{What: "own", By: "Author"},
				{What: "e2e-gpu", By: "Berth", Policy: "who", Source: "its tolerations"},
			}
			if diff := cmp.Diff(want, said.Placement); diff != "" {
				t.Errorf("who wrote what (-want +said):\n%s", diff)
			}
			why := map[string]string{}
			for _, p := range said.Policies {
				why[p.Name] = fmt.Sprint(p.Applies, " ", p.Reason)
			}
			delete(why, "e2e-marker")
			wantWhy := map[string]string{
				"own-label": "false its namespaceSelector does not select the namespace",
				"prefer":    "true ", "who": "true ", "waits": "false its matchConditions are not met",
			}
			if diff := cmp.Diff(wantWhy, why); diff != "" {
				t.Errorf("which policies apply (-want +said):\n%s", diff)
			}
		})
	}
}

func TestExplainSaysWhyAPolicyDoesNotApply(t *testing.T) {
	namespace := newNamespace(t, nil)
	annotateNamespace(t, namespace, "e2e.explain/place=")
	create(t, namespace, agent("nodeSelector: {e2e-pool: b}"))
	for name, spec := range map[string]string{
		"object":   "nodeSelector: {e2e-pool: a}\nmatchConstraints: {objectSelector: {matchLabels: {no: body}}}",
		"optedout": "nodeSelectorFrom: [{type: NamespaceAnnotation, namespaceAnnotation: {key: e2e.explain/place}}]",
		"nothing":  "nodeSelectorFrom: [{type: WorkloadAnnotation, workloadAnnotation: {allowedKeys: [x]}}]",
		"update":   "nodeSelector: {e2e-disk: ssd}\nupdatePolicy: CreateOnly",
		"next":     "nodeSelector: {e2e-next: x}",
		"conflict": "nodeSelector: {e2e-pool: a}\nvalidationActions: [Warn]",
		"audit":    "nodeSelector: {e2e-audit: a}\nmode: Audit",
	} {
		applyPolicy(t, namespace, name, spec)
	}
	got := map[string]string{}
	for _, p := range explain(t, namespace, "agent").Policies {
		got[p.Name] = fmt.Sprint(p.Applies, " ", p.Reason)
		for _, item := range p.Items {
			got[p.Name] += " " + item.What + " " + item.Outcome
		}
	}
	delete(got, "e2e-marker")
	want := map[string]string{
		"own-label": "false its namespaceSelector does not select the namespace",
		"object":    "false its objectSelector does not select the DaemonSet",
		"optedout":  "false the namespace opts out with an empty annotation",
		"nothing":   "false it asks nothing of this DaemonSet",
		"update":    "false its updatePolicy CreateOnly does not act on updates e2e-disk=ssd missing",
		"next":      "true  e2e-next=x added",
		"conflict":  "true  e2e-pool=a conflict",
		"audit":     "true  e2e-audit=a added",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policies (-want +said):\n%s", diff)
	}
}

func TestExplainNamesTheSelectorOrTheConditionThatLeavesADaemonSetOut(t *testing.T) {
	namespace := newNamespace(t, enabled)
	create(t, namespace, strings.Replace(agent("priorityClassName: system-node-critical"), "{name: agent}", "{name: critical}", 1))
	kubectl(t, agent(""), "create", "-n", metav1.NamespaceSystem, "-f", "-")
	t.Cleanup(func() { _, _, _ = cp.Kubectl(bare(), "", "delete", "-n", metav1.NamespaceSystem, "daemonset/agent") })
	const webhook = "webhook mutate.berth.dev of MutatingWebhookConfiguration berth leaves it out: "
	critical := explain(t, namespace, "critical")
	if diff := cmp.Diff([]string{webhook + `its matchCondition "not-excluded-priority-class" is not met`}, critical.LeftOut); diff != "" {
		t.Errorf("of the critical one (-want +said):\n%s", diff)
	}
	for _, p := range critical.Policies {
		if p.Applies || p.Name == "own-label" && p.Reason != "berth is not asked about the DaemonSet" {
			t.Errorf("policy %+v of the critical one", p)
		}
	}
	system := explain(t, metav1.NamespaceSystem, "agent").LeftOut
	want := []string{webhook + "its namespaceSelector (kubernetes.io/metadata.name NotIn [kube-system, kube-public, kube-node-lease, berth-system]) does not select namespace kube-system"}
	if diff := cmp.Diff(want, system); diff != "" {
		t.Errorf("of the one in kube-system (-want +said):\n%s", diff)
	}
}

// kubeconfigWith is that of a user who has these rights, each as "verbs resources", and no others.
func kubeconfigWith(t *testing.T, namespace string, rights ...string) (path string) {
	t.Helper()
	kubectl(t, "", "create", "serviceaccount", "reader", "-n", namespace)
	for i, right := range rights {
		verbs, resources, _ := strings.Cut(right, " ")
		name := fmt.Sprintf("%s-%d", namespace, i)
		kubectl(t, "", "create", "clusterrole", name, "--verb="+verbs, "--resource="+resources)
		kubectl(t, "", "create", "clusterrolebinding", name, "--clusterrole="+name, "--serviceaccount="+namespace+":reader")
		t.Cleanup(func() { _, _, _ = cp.Kubectl(bare(), "", "delete", "clusterrole,clusterrolebinding", name) })
	}
	token, err := cp.Client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "reader", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(cp.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	path = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExplainGoesOnWithoutTheRightsAndSaysWhichAreLacking(t *testing.T) {
	namespace := newNamespace(t, enabled)
	create(t, namespace, agent(""))
	create(t, namespace, strings.Replace(agent("priorityClassName: system-node-critical"), "{name: agent}", "{name: critical}", 1))
	kubeconfig := kubeconfigWith(t, namespace, "get daemonsets")
	critical := explain(t, namespace, "critical", "--kubeconfig", kubeconfig)
	if diff := cmp.Diff([]string{"as the flags of the scope say, for which see --help"}, critical.LeftOut); diff != "" {
		t.Errorf("of the critical one (-want +said):\n%s", diff)
	}
	said := explain(t, namespace, "agent", "--kubeconfig", kubeconfig)
	want := []string{
		"which policies apply: you lack the right to list placementpolicies",
		"labels and annotations of the namespace, which is taken to have none: you lack the right to get namespace " + namespace,
		"on which nodes it should run: you lack the right to list nodes",
		"whether berth is asked about it: taken from the flags --excluded-namespaces, --excluded-priority-classes and --namespace-selector: " +
			"you lack the right to list mutatingwebhookconfigurations and validatingwebhookconfigurations",
	}
	if diff := cmp.Diff(want, said.Unknown); diff != "" {
		t.Errorf("not known (-want +said):\n%s", diff)
	}
	if diff := cmp.Diff([]writtenBy{{What: "app=agent", By: "Berth", Policy: "own-label", Source: "from where is not known"}}, said.Placement); diff != "" {
		t.Errorf("who wrote what (-want +said):\n%s", diff)
	}
}
