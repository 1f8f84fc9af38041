package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// drawnMap is what the tests read of the page that berth map draws.
type drawnMap struct {
	Columns []struct {
		N []string
		C string
	}
	Rows []struct {
		NS, N  string
		R      []int
		P, Out []string
	}
	Reasons []struct {
		L int
		B string
		T []string
	}
	Looks []struct{ Label string }
}

var pageData = regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`)

// drawMap runs berth map, which has to succeed.
func drawMap(t *testing.T, stdin string, flags ...string) (page string, drawn *drawnMap) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "map.html")
	if _, _, err := cp.Run(t.Context(), stdin, berth.Binary, append([]string{"map", "-o", "html=" + file}, flags...)...); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	drawn = &drawnMap{}
	if err := json.Unmarshal([]byte(pageData.FindStringSubmatch(string(content))[1]), drawn); err != nil {
		t.Fatal(err)
	}
	return string(content), drawn
}

// states is, by node, what is said of a DaemonSet: "Excluded by a policy by policy a: …".
func (m *drawnMap) states(namespace, name string) map[string]string {
	states := map[string]string{}
	for _, row := range m.Rows {
		if row.NS != namespace || row.N != name {
			continue
		}
		var cells []int
		for i := 0; i < len(row.R); i += 2 {
			cells = append(cells, slices.Repeat(row.R[i:i+1], row.R[i+1])...)
		}
		for c, reason := range cells {
			said := m.Reasons[reason]
			for _, node := range m.Columns[c].N {
				states[node] = fmt.Sprintf("%s by %s: %s", m.Looks[said.L].Label, said.B, strings.Join(said.T, " "))
			}
		}
	}
	return states
}

func TestMapShowsWhereThePodsAreAndWhoKeepsThemAway(t *testing.T) {
	labelNodes(t, "e2e-explain", "a", "n-1", "n-2", "n-5")
	labelNodes(t, "e2e-explain", "b", "n-3")
	labelNodes(t, "e2e-zone", "z", "n-2", "n-4")
	labelNodes(t, "e2e-map", "x", "n-1", "n-2", "n-4", "n-6")
	taintNode(t, "n-4", corev1.Taint{Key: "e2e-taint", Value: "x", Effect: corev1.TaintEffectNoSchedule})
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "e2e-map", "nodeSelector: {e2e-map: x}")
	var manifests, names []string
	for i, pod := range explainedPods {
		names = append(names, fmt.Sprintf("agent-%02d", i))
		manifest := strings.ReplaceAll(withMetadata(agent(pod), "namespace: "+namespace), "app: agent", "app: "+names[i])
		manifests = append(manifests, strings.Replace(manifest, "name: agent", "name: "+names[i], 1))
	}
	critical := withMetadata(agent("priorityClassName: system-node-critical"), "namespace: "+namespace)
	manifests = append(manifests, strings.NewReplacer("name: agent", "name: critical", "app: agent", "app: critical").Replace(critical))
	kubectl(t, strings.Join(manifests, "\n---\n"), "create", "-f", "-")
	pods := map[string]map[string]string{}
	for _, name := range names {
		pods[name] = settledPods(t, namespace, name)
	}
	_, drawn := drawMap(t, "", "-n", namespace)
	running := 0
	for _, name := range names {
		var got []string
		for node, state := range drawn.states(namespace, name) {
			if strings.HasPrefix(state, "Running ") {
				got = append(got, node)
			}
		}
		slices.Sort(got)
		running += len(got)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(pods[name])), got); diff != "" {
			t.Errorf("%s runs on (-its pods +the map):\n%s", name, diff)
		}
	}
	if running < 20 {
		t.Errorf("only %d pods run", running)
	}
	selected := drawn.states(namespace, names[1]) // e2e-explain=a by its author, e2e-map=x by the policy
	const notSelected = "No pod runs here, and none should: the node is not selected. The node has no label "
	own, policys := "e2e-explain=a, which its author wrote.", "e2e-map=x, which berth wrote for policy e2e-map (its nodeSelector)."
	want := map[string]string{
		"n-1": "Running by : A pod runs here, as it should.", "n-2": "Running by : A pod runs here, as it should.",
		"n-3": "Excluded by a policy by its author, policy e2e-map: " + notSelected + own + " The node has no label " + policys,
		"n-4": "Excluded by its author by its author: " + notSelected + own + " The node has the taint e2e-taint=x:NoSchedule, which the pod template does not tolerate.",
		"n-5": "Excluded by a policy by policy e2e-map: " + notSelected + policys,
		"n-6": "Excluded by its author by its author: " + notSelected + own,
	}
	if diff := cmp.Diff(want, selected); diff != "" {
		t.Errorf("%s (-want +got):\n%s", names[1], diff)
	}

	for _, row := range drawn.Rows {
		policies, asked := len(row.P) > 0, len(row.Out) == 0
		if critical := row.N == "critical"; policies == critical || asked == critical {
			t.Errorf("%s: policies %v, left out %v", row.N, row.P, row.Out)
		} else if critical && !strings.Contains(row.Out[0], " of MutatingWebhookConfiguration ") {
			t.Errorf("%s is left out for %s", row.N, row.Out)
		}
	}

	// From what kubectl prints it is the same map.
	dump := kubectl(t, "", "get", "daemonsets,nodes,pods,namespaces,placementpolicies", "-A", "-o", "yaml")
	_, ofFile := drawMap(t, dump, "-f", "-", "-n", namespace)
	for _, name := range names {
		if diff := cmp.Diff(drawn.states(namespace, name), ofFile.states(namespace, name)); diff != "" {
			t.Errorf("%s (-cluster +file):\n%s", name, diff)
		}
	}
	// Without the right to read pods it says so, and where they would run.
	page, would := drawMap(t, "", "-n", namespace, "--kubeconfig", lookerKubeconfig(t))
	if !strings.Contains(page, "you lack the right to list pods in all namespaces") {
		t.Error("it does not say that pods may not be listed")
	}
	if state := would.states(namespace, names[1])["n-1"]; state != "Would run by : A pod would run here." {
		t.Errorf("without pods n-1 is %q", state)
	}
}

// lookerKubeconfig is of a user who may list DaemonSets and nodes, and nothing else.
func lookerKubeconfig(t *testing.T) string {
	t.Helper()
	kubectl(t, "", "create", "clusterrole", "e2e-map-looker", "--verb=list", "--resource=daemonsets,nodes")
	t.Cleanup(func() { _, _, _ = cp.Kubectl(bare(), "", "delete", "clusterrole,clusterrolebinding", "e2e-map-looker") })
	kubectl(t, "", "create", "clusterrolebinding", "e2e-map-looker", "--clusterrole=e2e-map-looker", "--user=looker")
	config, err := clientcmd.LoadFromFile(cp.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "looker"
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}
