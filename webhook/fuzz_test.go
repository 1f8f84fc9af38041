package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
)

// answered has a webhook answer a review without a server; nil is an HTTP error.
func answered(tb testing.TB, webhook http.Handler, body string) *admissionv1.AdmissionResponse {
	tb.Helper()
	request := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, MutatePath, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	webhook.ServeHTTP(w, request)
	if w.Code >= http.StatusInternalServerError {
		tb.Fatalf("%d %s for %s", w.Code, w.Body, body)
	}
	if w.Code != http.StatusOK {
		return nil
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &review); err != nil || review.Response == nil {
		tb.Fatalf("%s: %v", w.Body, err)
	}
	return review.Response
}

// applied is the object after the answer's patch.
func applied(tb testing.TB, object string, answer *admissionv1.AdmissionResponse) string {
	tb.Helper()
	if len(answer.Patch) == 0 {
		return object
	}
	patch, err := jsonpatch.DecodePatch(answer.Patch)
	if err != nil {
		tb.Fatalf("patch %s: %v", answer.Patch, err)
	}
	after, err := patch.Apply([]byte(object))
	if err != nil {
		tb.Fatalf("patch %s of %s: %v", answer.Patch, object, err)
	}
	return string(after)
}

// FuzzMutate holds the wire to the laws of the core: whatever the object, the patch applies, after it there is nothing left
// to do, and nothing is lost of what berth does not know.
func FuzzMutate(f *testing.F) {
	for _, object := range []string{
		tutorial, placed, string(encoded(shipped(1))),
		`{"metadata":{},"spec":{"template":{"spec":{}}}}`,
		`{"metadata":{"annotations":null},"spec":{"selector":{"matchLabels":{"a/b":"c"}},"template":{"metadata":{"labels":{"a/b":"c"}},"spec":{"nodeSelector":null,"affinity":null}}}}`,
		`{"metadata":{"annotations":{}},"spec":{"selector":{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{},{"matchFields":[]}]}}}}}}}`,
		`{"metadata":{"annotations":{"a":"b"}},"spec":{"selector":{"matchExpressions":[{"key":"a","operator":"Exists"}]},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"affinity":{"podAffinity":{}}}}}}`,
		`{"metadata":{"annotations":{"berth.dev/injected":"{\"nodeSelector\":{\"a\":\"x\"}}"}},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"nodeSelector":{"a":"x"},"affinity":{}}}}}`,
	} {
		f.Add(object)
	}
	facts := newFacts(f, ownLabel)
	mutator, validator := NewMutator(facts, logr.Discard()), NewValidator(facts, logr.Discard())
	f.Fuzz(func(t *testing.T, object string) {
		if !json.Valid([]byte(object)) {
			return
		}
		first := answered(t, mutator, createReview(object))
		if first == nil || !first.Allowed {
			return
		}
		after := applied(t, object, first)
		if second := answered(t, mutator, createReview(after)); second == nil || !second.Allowed || len(second.Patch) > 0 {
			t.Errorf("after the patch %s of %s there is more to do: %+v", first.Patch, object, second)
		}
		if final := answered(t, validator, createReview(after)); final == nil || !final.Allowed {
			t.Errorf("after the patch %s of %s it is denied: %+v", first.Patch, object, final)
		}
		if diff := cmp.Diff(without(t, object), without(t, after)); diff != "" {
			t.Errorf("the patch %s changes what is not berth's (-before +after):\n%s", first.Patch, diff)
		}
	})
}

// without is the object without the places that berth writes to.
func without(tb testing.TB, object string) any {
	tb.Helper()
	var untyped map[string]any
	decoder := json.NewDecoder(bytes.NewReader([]byte(object)))
	decoder.UseNumber()
	if err := decoder.Decode(&untyped); err != nil {
		tb.Fatal(err)
	}
	remove(untyped, "metadata", "annotations", "berth.dev/injected")
	remove(untyped, "spec", "template", "spec", "nodeSelector")
	remove(untyped, "spec", "template", "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
	return untyped
}

// remove removes what is at the path, and the objects on the way to it that are empty then or null.
func remove(object map[string]any, path ...string) {
	if child, ok := object[path[0]].(map[string]any); ok && len(path) > 1 {
		if remove(child, path[1:]...); len(child) > 0 {
			return
		}
	} else if len(path) > 1 && object[path[0]] != nil {
		return
	}
	delete(object, path[0])
}

func TestFieldsThatAreNewToBerthSurvive(t *testing.T) {
	object := replaceOnce(t, tutorial, `"containers":[{`, `"fromTheFuture":{"a":[1.50,9007199254740993]},"containers":[{"newer":null,`)
	after := applied(t, object, answered(t, NewMutator(newFacts(t, ownLabel), logr.Discard()), createReview(object)))
	if diff := cmp.Diff(without(t, object), without(t, after)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}
