package e2e_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAnotherWebhookThatRemovesTheNodeSelectorIsCaughtByTheValidatingOne(t *testing.T) {
	namespace := newNamespace(t, enabled)
	calls := registerRemover(t, namespace)
	waitFor(t, "the other webhook to be in force", func() (bool, string) {
		_, _, err := cp.Kubectl(t.Context(), tutorial(t), "create", "-n", namespace, "--dry-run=server", "-f", "-")
		return calls.Load() > 0, fmt.Sprint(err)
	})

	calls.Store(0)
	got := kubectlRejected(t, tutorial(t), "create", "-n", namespace, "-f", "-")
	want := "Warning: matches 0 of 6 nodes: label one with kubectl label nodes NODE app=example\n" +
		`The DaemonSet "example-daemonset" is invalid: spec.template.spec.nodeSelector: Required value: ` +
		`policy "own-label" requires app=example, and it was not there after mutation: ` +
		"try again; if it stays so, another mutating webhook takes it away\n"
	if got != want {
		t.Errorf("kubectl said\n%s\nnot\n%s", got, want)
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("the other webhook was called %d times, not after berth and again after berth's reinvocation", n)
	}
}

// registerRemover registers a mutating webhook for one namespace that removes every nodeSelector. Its name puts it after
// berth's; it asks for reinvocation, so that it also has the last word after berth's second one.
func registerRemover(t *testing.T, namespace string) (calls *atomic.Int32) {
	t.Helper()
	calls = &atomic.Int32{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		calls.Add(1)
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if strings.Contains(string(review.Request.Object.Raw), `"nodeSelector"`) {
			kind := admissionv1.PatchTypeJSONPatch
			review.Response.PatchType = &kind
			review.Response.Patch = []byte(`[{"op":"remove","path":"/spec/template/spec/nodeSelector"}]`)
		}
		review.Request = nil
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)

	sideEffects, reinvocation := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.IfNeededReinvocationPolicy
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "zz-" + namespace},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name:                    "remover.example.com",
			AdmissionReviewVersions: []string{"v1"},
			SideEffects:             &sideEffects,
			ReinvocationPolicy:      &reinvocation,
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"daemonsets"}},
			}},
		}},
	}
	configurations := cp.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := configurations.Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := configurations.Delete(bare(), configuration.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return calls
}

func TestBerthDownFailsDaemonSetsInScopeAndLeavesTheOthersAlone(t *testing.T) {
	namespace := newNamespace(t, enabled)
	if err := berth.Kill(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := berth.Start(bare()); err != nil {
			t.Fatal(err)
		}
		if err := berth.WaitReady(bare()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := cp.Kubectl(bare(), tutorial(t), "create", "-n", namespace, "-f", "-"); err != nil {
			t.Errorf("berth is back, and yet: %v", err)
		}
	})

	got := kubectlRejected(t, tutorial(t), "create", "-n", namespace, "-f", "-")
	if want := `Error from server (InternalError): error when creating "STDIN": Internal error occurred: failed calling webhook "mutate.berth.dev"`; !strings.HasPrefix(got, want) {
		t.Errorf("kubectl said\n%s\nnot\n%s …", got, want)
	}
	kubectl(t, strings.Replace(forLabel(t, "berth-is-down"), tutorialName, "berth-is-down", 1), "apply", "-n", metav1.NamespaceSystem, "-f", "-")
	kubectl(t, withPriorityClass(t, "system-node-critical"), "create", "-n", namespace, "-f", "-")
}
