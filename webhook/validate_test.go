package webhook

import (
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
)

func TestWhatAnotherWebhookTookAwayIsDeniedByField(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	for name, test := range map[string]struct {
		object string
		want   cause
	}{
		"the whole nodeSelector": {tutorial, cause{"FieldValueRequired", "spec.template.spec.nodeSelector", "app=example"}},
		"one key of it": {
			replaceOnce(t, tutorial, `"containers":`, `"nodeSelector":{"disk":"ssd"},"containers":`),
			cause{"FieldValueRequired", "spec.template.spec.nodeSelector[app]", "app=example"},
		},
	} {
		got := site.ask(t, ValidatePath, createReview(test.object))
		if got.Allowed || got.Result == nil || got.Result.Code != 422 || len(got.Result.Details.Causes) != 1 {
			t.Fatalf("%s: %+v", name, got)
		}
		is := got.Result.Details.Causes[0]
		if diff := cmp.Diff(test.want, cause{string(is.Type), is.Field, "app=example"}, cmp.AllowUnexported(cause{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

const auditOnly = `
metadata: {name: trial}
spec:
  mode: Audit
  nodeSelector: {pool: edge}
  nodeChecks: {minMatchingNodes: 0}
`

func TestAPolicyInModeAuditOnlyLeavesAMarkInTheAuditLog(t *testing.T) {
	site := serve(t, newFacts(t, auditOnly), logr.Discard())
	before := counted(t, "berth_admission_audited_total", "verdict", "patched")
	for _, path := range []string{MutatePath, ValidatePath} {
		want := &admissionv1.AdmissionResponse{UID: testUID, Allowed: true, AuditAnnotations: map[string]string{
			"audit-policies": "trial",
			"audit-patch": `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"pool":"edge"}},` +
				`{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"trial\":{\"nodeSelector\":{\"pool\":\"edge\"}}}}"}}]`,
		}}
		if diff := cmp.Diff(want, site.ask(t, path, createReview(tutorial))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		malformed := site.ask(t, path, createReview(replaceOnce(t, tutorial, `"containers":`, `"nodeName":"n-1","containers":`)))
		if !malformed.Allowed || len(malformed.Warnings) > 0 || malformed.AuditAnnotations["audit-violations"] == "" {
			t.Errorf("%s a violation: %+v", path, malformed)
		}
	}
	if now := counted(t, "berth_admission_audited_total", "verdict", "patched"); now != before+2 {
		t.Errorf("counted %v patches that audit held back, want 2", now-before)
	}
}

func TestAViolationThatAPolicyOnlyAuditsIsAllowedAndMarked(t *testing.T) {
	site := serve(t, newFacts(t, `
metadata: {name: soft}
spec:
  nodeSelectorFrom: [{type: WorkloadSelector}]
  validationActions: [Audit]
`), logr.Discard())
	got := site.ask(t, MutatePath, createReview(replaceOnce(t, tutorial, `"containers":`, `"nodeName":"n-1","containers":`)))
	want := map[string]string{"policies": "soft", "violations": "policy soft: spec.template.spec.nodeName: Forbidden: it binds"}
	marks := got.AuditAnnotations
	marks["violations"] = marks["violations"][:min(len(want["violations"]), len(marks["violations"]))]
	if diff := cmp.Diff(want, marks); diff != "" || !got.Allowed || len(got.Warnings) > 0 {
		t.Errorf("allowed %v, warnings %v, annotations (-want +got):\n%s", got.Allowed, got.Warnings, diff)
	}
}

func TestWithFailurePolicyIgnoreWhatTheMutatorWasNotAskedAboutIsStoredAndWhatViolatesDenied(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	before := counted(t, "berth_admission_requests_total", "reason", "leftover")
	want := &admissionv1.AdmissionResponse{UID: testUID, Allowed: true, Warnings: []string{
		"stored without what policies require: berth was not asked in time; the next change of the pod template adds it",
	}}
	got := site.ask(t, BestEffortValidatePath, createReview(tutorial))
	got.AuditAnnotations = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a DaemonSet that was not mutated (-want +got):\n%s", diff)
	}
	if now := counted(t, "berth_admission_requests_total", "reason", "leftover"); now != before+1 {
		t.Errorf("counted %v leftovers, want 1", now-before)
	}
	violating := replaceOnce(t, tutorial, `"containers":`, `"nodeSelector":{"app":"other"},"containers":`)
	if got := site.ask(t, BestEffortValidatePath, createReview(violating)); got.Allowed {
		t.Error("a DaemonSet that contradicts the policy is allowed")
	}
}
