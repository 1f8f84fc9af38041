package e2e_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/e2e/testbed"
)

// auditAnnotations waits for the last write of an agent in the API server's audit log, and returns what berth's webhooks
// have written there.
func auditAnnotations(t *testing.T, namespace, verb string) (annotations map[string]string) {
	t.Helper()
	path := "/apis/apps/v1/namespaces/" + namespace + "/daemonsets"
	waitFor(t, "the audit log", func() (bool, string) {
		requests, err := auditLog.Requests(testbed.AdminUser)
		if err != nil {
			return false, err.Error()
		}
		for _, r := range requests {
			if r.Stage == "ResponseComplete" && r.Verb == verb && strings.HasPrefix(r.RequestURI, path) {
				annotations = maps.Clone(r.Annotations)
			}
		}
		return annotations != nil, "nothing of " + verb + " " + path
	})
	maps.DeleteFunc(annotations, func(key, _ string) bool { return !strings.Contains(key, ".berth.dev/") })
	return annotations
}

func TestAPolicyInModeAuditReportsAndChangesNothing(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "tried", anyNodes+poolA+"mode: Audit")
	patched := metric(t, "berth_admission_audited_total", `verdict="patched"`, `webhook="mutate"`)
	expectKubectl(t, create(t, namespace, agent("")), "")
	expectNodeSelector(t, get(t, namespace, "agent"), nil)
	if value, ok := get(t, namespace, "agent").Annotations[injectedAnnotation]; ok {
		t.Errorf("berth wrote %s: %s", injectedAnnotation, value)
	}
	if n := metric(t, "berth_admission_audited_total", `verdict="patched"`, `webhook="mutate"`) - patched; n != 1 {
		t.Errorf("berth_admission_audited_total has counted %v patches, not 1", n)
	}
	patch := `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"e2e-pool":"a"}},` +
		`{"op":"add","path":"/metadata/annotations/berth.dev~1injected","value":"{\"version\":2,\"policies\":{\"tried\":{\"nodeSelector\":{\"e2e-pool\":\"a\"}}}}"}]`
	want := map[string]string{}
	for _, webhook := range []string{"mutate", "validate"} {
		want[webhook+".berth.dev/audit-policies"], want[webhook+".berth.dev/audit-patch"] = "tried", patch
	}
	if diff := cmp.Diff(want, auditAnnotations(t, namespace, "create")); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}

	kubectl(t, "", "delete", "-n", namespace, "daemonset/agent")
	denied := metric(t, "berth_admission_audited_total", `verdict="denied"`, `webhook="mutate"`)
	expectKubectl(t, create(t, namespace, agent("nodeSelector: {e2e-pool: mine}")), "")
	if n := metric(t, "berth_admission_audited_total", `verdict="denied"`, `webhook="mutate"`) - denied; n != 1 {
		t.Errorf("berth_admission_audited_total has counted %v denials, not 1", n)
	}
	waitFor(t, "the violation in the audit log", func() (bool, string) {
		got := auditAnnotations(t, namespace, "create")
		want := strings.ReplaceAll("policy tried: "+pinnedTo("mine"), `"pool"`, `"tried"`)
		return got["mutate.berth.dev/audit-violations"] == want, fmt.Sprint(got)
	})
}

func TestValidationActionsSayWhatBecomesOfAViolation(t *testing.T) {
	const warning = `Warning: policy "pool" requires "a": remove the key or set it to "a" (spec.template.spec.nodeSelector[e2e-pool])` + "\n"
	logged := map[string]string{
		"mutate.berth.dev/policies": "pool", "mutate.berth.dev/violations": "policy pool: " + pinnedTo("mine"),
		"validate.berth.dev/policies": "pool", "validate.berth.dev/violations": "policy pool: " + pinnedTo("mine"),
	}
	policiesOnly := map[string]string{"mutate.berth.dev/policies": "pool", "validate.berth.dev/policies": "pool"}
	tests := []struct {
		actions, stderr string
		audit           map[string]string
	}{
		{"[Warn]", warning, policiesOnly},
		{"[Audit]", "", logged},
		{"[Warn, Audit]", warning, logged},
	}
	own := agent("nodeSelector: {e2e-pool: mine}")
	for _, test := range tests {
		t.Run(test.actions, func(t *testing.T) {
			namespace := newNamespace(t, nil)
			applyPolicy(t, namespace, "pool", anyNodes+poolA+"validationActions: "+test.actions)
			expectKubectl(t, create(t, namespace, own), test.stderr)
			expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "mine"})
			if diff := cmp.Diff(test.audit, auditAnnotations(t, namespace, "create")); diff != "" {
				t.Errorf("audit log (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("[Deny, Audit]", func(t *testing.T) {
		namespace := newNamespace(t, nil)
		applyPolicy(t, namespace, "pool", anyNodes+poolA+"validationActions: [Deny, Audit]")
		if diff := cmp.Diff([]string{pinnedTo("mine")}, createRejected(t, namespace, own)); diff != "" {
			t.Errorf("causes (-want +got):\n%s", diff)
		}
		want := "policy pool: " + pinnedTo("mine")
		if diff := cmp.Diff(want, auditAnnotations(t, namespace, "create")["mutate.berth.dev/violations"]); diff != "" {
			t.Errorf("audit log (-want +got):\n%s", diff)
		}
	})
}
