package e2e_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const pinned = `spec.template.spec.nodeSelector[e2e-pool]: Invalid value: "%s": policy "pool" requires "a": remove the key or set it to "a"`

func pinnedTo(value string) string { return strings.ReplaceAll(pinned, "%s", value) }

// patchPool is a patch of an agent's nodeSelector.
func patchPool(namespace, value string) []string {
	return []string{"patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"e2e-pool":"` + value + `"}}}}}`}
}

func TestAnUpdateThatLeavesThePlacementAloneIsAllowedOnADaemonSetThatBrokeThePolicyBefore(t *testing.T) {
	namespace := newNamespace(t, nil)
	create(t, namespace, agent("nodeSelector: {e2e-pool: mine}"))
	for _, updatePolicy := range []string{"OnTemplateChange", "Always"} {
		applyPolicy(t, namespace, "pool", anyNodes+poolA+"updatePolicy: "+updatePolicy)
		stderr := setImage(t, namespace, "agent:"+updatePolicy)
		expectKubectl(t, stderr, `Warning: not applied: policy "pool" requires "a": remove the key or set it to "a"`+"\n")
		expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "mine"})
		if diff := cmp.Diff([]string{pinnedTo("other")}, causes(kubectlRejected(t, "", patchPool(namespace, "other")...))); diff != "" {
			t.Errorf("an update that breaks it anew, causes (-want +got):\n%s", diff)
		}
	}
	kubectl(t, "", patchPool(namespace, "a")...)
	setImage(t, namespace, "agent:2")
	if diff := cmp.Diff([]string{pinnedTo("mine")}, causes(kubectlRejected(t, "", patchPool(namespace, "mine")...))); diff != "" {
		t.Errorf("a way back, once it is in line, causes (-want +got):\n%s", diff)
	}
}

func TestStatusAndDeletionsAreNotSentToBerth(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "pool", anyNodes+poolA)
	create(t, namespace, agent(""))
	before := metric(t, "berth_admission_requests_total")
	if before == 0 {
		t.Fatal("berth has counted nothing")
	}
	for range 10 {
		for _, value := range []string{"True", "False"} {
			kubectl(t, "", "patch", "-n", namespace, "daemonset/agent", "--subresource=status", "--type=merge", "-p",
				`{"status":{"conditions":[{"type":"E2E","status":"`+value+`"}]}}`)
		}
	}
	background := metav1.DeletePropagationBackground
	if err := cp.Client.AppsV1().DaemonSets(namespace).Delete(t.Context(), "agent", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	if after := metric(t, "berth_admission_requests_total"); after != before {
		t.Errorf("20 writes of the status and a deletion made %v requests to berth", after-before)
	}
	create(t, namespace, agent(""))
	if after := metric(t, "berth_admission_requests_total"); after-before < 2 {
		t.Errorf("a creation made %v requests to berth, not at least 2: this count shows nothing", after-before)
	}
}

// metric sums up a metric of berth over all series that have these labels.
func metric(t *testing.T, name string, labels ...string) (sum float64) {
	t.Helper()
	request, err := http.NewRequestWithContext(bare(), http.MethodGet, "http://"+berth.MetricsAddress+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return sum
		}
		if err != nil {
			t.Fatal(err)
		}
		series, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(series, name+"{") || !containsAll(series, labels) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
