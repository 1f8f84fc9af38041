package e2e_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/e2e/testbed"
)

// firstReceipts is the last commit whose berth writes receipts of the first form.
const firstReceipts = "d7127c2"

// startOldBerth runs the berth of a commit beside the one that all tests share.
func startOldBerth(t *testing.T, commit string) *testbed.Berth {
	t.Helper()
	binary, err := testbed.Checkout(t.Context(), commit, t.TempDir())
	if errors.Is(err, testbed.ErrNoCommit) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	old, err := cp.StartBerthBeside(t.Context(), "berth-"+commit, testbed.BerthOptions{Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := old.Stop(); err != nil {
			t.Error(err)
		}
	})
	return old
}

// route has the API server call this berth in one phase, until the test ends.
func route(t *testing.T, phase string, to *testbed.Berth) {
	t.Helper()
	patch := fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/clientConfig","value":{"url":"https://%s/%s-apps-v1-daemonset","caBundle":%q}}]`,
		to.Address, phase, base64.StdEncoding.EncodeToString(to.CABundle))
	kind := map[string]string{"mutate": "mutatingwebhookconfiguration", "validate": "validatingwebhookconfiguration"}[phase]
	if _, _, err := cp.Kubectl(bare(), "", "patch", kind, "berth", "--type=json", "-p", patch); err != nil {
		t.Fatal(err)
	}
	// The API server learns of it through an informer.
	before := answeredBy(t, to, phase)
	waitFor(t, "the API server to call the other berth", func() (bool, string) {
		_, stderr, err := cp.Kubectl(bare(), tutorial(t), "create", "-n", corev1.NamespaceDefault, "--dry-run=server", "-f", "-")
		return err == nil && answeredBy(t, to, phase) > before, stderr
	})
}

// answeredBy is how many requests a berth has answered in a phase.
func answeredBy(t *testing.T, of *testbed.Berth, phase string) float64 {
	t.Helper()
	shared := berth
	defer func() { berth = shared }()
	berth = of
	return metric(t, "berth_admission_requests_total", fmt.Sprintf("webhook=%q", phase))
}

// bothKnow waits until both berths know all policies.
func bothKnow(t *testing.T, old *testbed.Berth) {
	t.Helper()
	shared := berth
	defer func() { berth = shared }()
	berthKnows(t)
	berth = old
	berthKnows(t)
}

func TestReceiptsOfTheFirstFormAreReadBesideTheBerthThatWroteThem(t *testing.T) {
	old, current := startOldBerth(t, firstReceipts), berth
	t.Cleanup(func() { route(t, "mutate", current); route(t, "validate", current) })
	serve := func(mutating, validating *testbed.Berth) {
		t.Helper()
		route(t, "mutate", mutating)
		route(t, "validate", validating)
	}
	namespace, manifest := newNamespace(t, nil), agent(lists)
	applyPolicy(t, namespace, "upgraded", anyNodes+everyKind+"nodeSelector: {e2e-pool: a}")
	bothKnow(t, old)

	serve(old, old)
	kubectl(t, manifest, "apply", "-n", namespace, "-f", "-")
	placed := get(t, namespace, "agent")
	if receipt := placed.Annotations[injectedAnnotation]; strings.Contains(receipt, "version") || receipt == "" {
		t.Fatalf("the old berth has written the receipt %s", receipt)
	}
	want := templateOf{placed.Spec.Template.Spec.NodeSelector, placed.Spec.Template.Spec.Affinity, placed.Spec.Template.Spec.Tolerations}

	// Both serve, one in each phase, and by turns; then the new one alone; then, rolled back, the old one.
	for i, phases := range [][2]*testbed.Berth{{old, current}, {current, old}, {old, current}, {current, current}, {old, old}, {current, old}, {current, current}} {
		serve(phases[0], phases[1])
		kubectl(t, "", "annotate", "-n", namespace, "daemonset/agent", "--overwrite", fmt.Sprintf("note=%d", i))
		expectTemplate(t, fmt.Sprintf("after an annotation in round %d", i), namespace, want)
		setImage(t, namespace, fmt.Sprintf("agent:round-%d", i))
		expectTemplate(t, fmt.Sprintf("after a new image in round %d", i), namespace, want)
	}
	kubectl(t, manifest, "apply", "-n", namespace, "-f", "-")
	expectTemplate(t, "after the same manifest again", namespace, want)
}

func TestAnUpgradedReceiptIsTakenBackWithItsPolicy(t *testing.T) {
	old, current := startOldBerth(t, firstReceipts), berth
	t.Cleanup(func() { route(t, "mutate", current); route(t, "validate", current) })
	namespace, manifest := newNamespace(t, nil), agent("nodeSelector: {mine: x}")
	applyPolicy(t, namespace, "upgraded", anyNodes+everyKind+"nodeSelector: {e2e-pool: a}")
	bothKnow(t, old)
	route(t, "mutate", old)
	kubectl(t, manifest, "apply", "-n", namespace, "-f", "-")
	route(t, "mutate", current)

	before := get(t, namespace, "agent")
	kubectl(t, manifest, "apply", "-n", namespace, "-f", "-")
	if after := get(t, namespace, "agent"); after.Generation != before.Generation {
		t.Errorf("the same manifest again takes generation %d to %d", before.Generation, after.Generation)
	}
	deletePolicy(t, "upgraded")
	kubectl(t, newAgentImage(manifest), "apply", "-n", namespace, "-f", "-")
	expectTemplate(t, "without the policy, after a new image", namespace, meant(t, manifest))
}
