package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// columns is what kubectl get shows of a policy, without its age.
func columns(t *testing.T, policy string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(kubectl(t, "", "get", "plp", policy)), "\n")
	var shown []string
	for _, line := range lines {
		fields := strings.Fields(line)
		shown = append(shown, strings.Join(fields[:len(fields)-1], " "))
	}
	return strings.Join(shown, "\n")
}

func expectColumns(t *testing.T, policy, want string) {
	t.Helper()
	want = "NAME MODE DAEMONSETS COMPLIANT NODES READY\n" + policy + " " + want
	waitFor(t, "kubectl get plp to show "+want, func() (bool, string) {
		got := columns(t, policy)
		return got == want, got
	})
}

func violations(t *testing.T, namespace string) []eventsv1.Event {
	t.Helper()
	list, err := cp.Client.EventsV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=PlacementViolation"})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func TestStatusMetricsAndEventsShowWhatAPolicyFindsInDaemonSetsThatExist(t *testing.T) {
	namespace := newNamespace(t, nil)
	labelNodes(t, "e2e-pool", "a", "n-1", "n-2", "n-3")
	create(t, namespace, agent("nodeSelector: {e2e-pool: a}"))
	create(t, namespace, strings.ReplaceAll(agent("nodeSelector: {e2e-pool: mine}"), "agent", "stray"))
	create(t, namespace, strings.ReplaceAll(agent(""), "agent", "unplaced"))
	expectPods(t, namespace, "agent", "n-1", "n-2", "n-3")
	expectPods(t, namespace, "unplaced", allNodes...)

	applyPolicy(t, namespace, "pool", poolA)
	expectColumns(t, "pool", "Enforce 3 1 6 True")
	status := kubectl(t, "", "get", "placementpolicy", "pool", "-o", "jsonpath={.status.daemonSets} {.status.nodes} {.status.observedGeneration}")
	if diff := cmp.Diff(`{"compliant":1,"matched":3,"wouldChange":1} {"matched":6,"total":6} 1`, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	nodes := func(name, state string) int {
		return int(metric(t, "berth_daemonset_nodes", fmt.Sprintf("namespace=%q", namespace), fmt.Sprintf("daemonset=%q", name), fmt.Sprintf("state=%q", state)))
	}
	for name, want := range map[string][4]int{"agent": {3, 3, 0, 0}, "stray": {0, 6, 0, 0}, "unplaced": {6, 0, 0, 0}} {
		waitFor(t, "the nodes of "+name, func() (bool, string) {
			got := [4]int{nodes(name, "running"), nodes(name, "excluded"), nodes(name, "blocked_by_taint"), nodes(name, "missing")}
			return got == want, fmt.Sprintf("running, excluded, blocked, missing: %v, want %v", got, want)
		})
	}
	waitFor(t, "Events on the two that do not comply", func() (bool, string) {
		found := violations(t, namespace)
		return len(found) == 2, fmt.Sprint(found)
	})
	notes := map[string]string{}
	for _, event := range violations(t, namespace) {
		notes[event.Regarding.Kind+"/"+event.Regarding.Name] = event.Note
	}
	want := map[string]string{
		"DaemonSet/stray": strings.ReplaceAll(pinnedTo("mine"), "agent", "stray"),
		"DaemonSet/unplaced": `spec.template.spec.nodeSelector[e2e-pool]: policy "pool" requires e2e-pool=a, and the DaemonSet was written before that was in force: berth adds it when the pod template changes next; ` +
			`to have it now: kubectl rollout restart daemonset -n ` + namespace + ` unplaced (and 1 more)`,
	}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}

	// The cure that the Event names, and a node that goes.
	kubectl(t, "", "rollout", "restart", "daemonset", "-n", namespace, "unplaced")
	expectColumns(t, "pool", "Enforce 3 2 3 True")
	unlabelNodes(t, "e2e-pool", "n-3")
	expectColumns(t, "pool", "Enforce 3 2 2 True")
	kubectl(t, "", "delete", "-n", namespace, "daemonset/stray")
	expectColumns(t, "pool", "Enforce 2 2 2 True")
	if found := violations(t, namespace); len(found) != 2 {
		t.Errorf("there are %d Events, not the same 2 as before: %v", len(found), found)
	}
}

func TestAnAnnotationOfANamespaceShowsInStatus(t *testing.T) {
	namespace := newNamespace(t, nil)
	create(t, namespace, agent(""))
	applyPolicy(t, namespace, "from-namespace", fromNamespace)
	expectColumns(t, "from-namespace", "Enforce 0 0 0 True")
	annotateNamespace(t, namespace, podNodeSelectorKey+"=e2e-pool=a")
	expectColumns(t, "from-namespace", "Enforce 1 0 6 True")
	annotateNamespace(t, namespace, podNodeSelectorKey+"=")
	expectColumns(t, "from-namespace", "Enforce 0 0 0 True")
}
