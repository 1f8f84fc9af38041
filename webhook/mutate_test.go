package webhook

import (
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
)

const tutorialPatch = `[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"app":"example"}},` +
	`{"op":"add","path":"/metadata/annotations","value":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"app\":\"example\"}}}}"}}]`

var jsonPatch = admissionv1.PatchTypeJSONPatch

func TestTheTutorialsDaemonSetGetsItsOwnLabelAsNodeSelector(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	want := &admissionv1.AdmissionResponse{
		UID: testUID, Allowed: true, Patch: []byte(tutorialPatch), PatchType: &jsonPatch,
		AuditAnnotations: map[string]string{"policies": "own-label"},
	}
	if diff := cmp.Diff(want, site.ask(t, MutatePath, createReview(tutorial))); diff != "" {
		t.Errorf("mutate (-want +got):\n%s", diff)
	}
}

func TestWhatHasNothingToDoIsAllowedWithoutAWord(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	in := func(namespace, review string) string {
		return replaceOnce(t, review, `"namespace":"default","op`, `"namespace":"`+namespace+`","op`)
	}
	deleting := beingDeleted(t, tutorial)
	for name, review := range map[string]string{
		"placed":                             createReview(placed),
		"placed before and after":            updateReview(placed, placed),
		"a namespace without policies":       in("other", createReview(tutorial)),
		"malformed, where no policy is":      in("other", createReview(`{"spec":{"selector":17}}`)),
		"DELETE":                             reviewOf("DELETE", "null", tutorial),
		"CONNECT":                            reviewOf("CONNECT", `{"kind":"PodAttachOptions"}`, "null"),
		"a subresource":                      replaceOnce(t, createReview(tutorial), `"operation"`, `"subResource":"status","operation"`),
		"an update that keeps the template":  updateReview(replaceOnce(t, tutorial, `"spec":{`, `"spec":{"minReadySeconds":5,`), tutorial),
		"an object on its way to be deleted": updateReview(replaceOnce(t, tutorial, `"containers":`, `"nodeName":"n-1","containers":`), deleting),
		"one with more labels than may be":   updateReview(tutorial, withLabels(t, deleting, 1001)),
	} {
		for _, path := range []string{MutatePath, ValidatePath} {
			want := &admissionv1.AdmissionResponse{UID: testUID, Allowed: true}
			if diff := cmp.Diff(want, site.ask(t, path, review)); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", path, name, diff)
			}
		}
	}
}

func beingDeleted(tb testing.TB, object string) string {
	tb.Helper()
	return replaceOnce(tb, object, `"metadata":{`, `"metadata":{"deletionTimestamp":"2026-11-23T14:00:00Z",`)
}

func withLabels(tb testing.TB, object string, count int) string {
	tb.Helper()
	return replaceOnce(tb, object, `"metadata":{`, `"metadata":{"labels":{"k":""`+numbered(`,"k%07d":"v"`, 15*(count-1))+`},`)
}

func TestAForgedDeletionTimestampOfTheNewObjectChangesNothing(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	for name, review := range map[string]string{
		"a creation": createReview(beingDeleted(t, tutorial)),
		"an update":  updateReview(beingDeleted(t, tutorial), replaceOnce(t, tutorial, "latest", "old")),
	} {
		if diff := cmp.Diff(tutorialPatch, string(site.ask(t, MutatePath, review).Patch)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if site.ask(t, ValidatePath, review).Allowed {
			t.Errorf("%s is stored without its placement", name)
		}
	}
}

func TestANamespaceYoungerThanTheCacheIsAskedForLive(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	young := replaceOnce(t, createReview(tutorial), `"namespace":"default","op`, `"namespace":"young","op`)
	if diff := cmp.Diff(tutorialPatch, string(site.ask(t, MutatePath, young).Patch)); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
}

func TestAPlacementThatNoNodeHasIsWarnedOf(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	lost := replaceAll(tutorial, `"app":"example"`, `"app":"lost"`)
	want := []string{"matches 0 of 3 nodes: no node has app=lost; 2 have app=example"}
	if diff := cmp.Diff(want, site.ask(t, MutatePath, createReview(lost)).Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
