package admission

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/cluster"
)

// answered answers a review, as the API server reads it; nil is an object that is malformed.
func (e Evaluator) answered(tb testing.TB, snapshot *cluster.Snapshot, body string) *admissionv1.AdmissionResponse {
	tb.Helper()
	var review Review
	if err := review.Locate([]byte(body)); err != nil {
		return nil
	}
	asked, invalid := review.Request()
	if invalid != nil {
		return nil
	}
	a, err := e.Evaluate(tb.Context(), &review, asked, snapshot)
	if isA[*field.Error](err) {
		return nil
	}
	if err != nil {
		tb.Fatalf("%v for %s", err, body)
	}
	out, _ := a.AppendJSON(nil, nil, &review)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(out, &answer); err != nil || answer.Response == nil {
		tb.Fatalf("%s: %v", out, err)
	}
	return answer.Response
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

// FuzzMutate holds the bytes to the laws of the core: whatever the object, the patch applies, after it there is nothing left
// to do, and nothing is lost of what berth does not know.
func FuzzMutate(f *testing.F) {
	for _, object := range []string{
		tutorial, placed,
		`{"metadata":{},"spec":{"template":{"spec":{}}}}`,
		`{"metadata":{"annotations":null},"spec":{"selector":{"matchLabels":{"a/b":"c"}},"template":{"metadata":{"labels":{"a/b":"c"}},"spec":{"nodeSelector":null,"affinity":null}}}}`,
		`{"metadata":{"annotations":{}},"spec":{"selector":{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{},{"matchFields":[]}]}}}}}}}`,
		`{"metadata":{"annotations":{"a":"b"}},"spec":{"selector":{"matchExpressions":[{"key":"a","operator":"Exists"}]},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"affinity":{"podAffinity":{}}}}}}`,
		`{"metadata":{"annotations":{"berth.dev/injected":"{\"nodeSelector\":{\"a\":\"x\"}}"}},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"nodeSelector":{"a":"x"},"affinity":{}}}}}`,
	} {
		f.Add(object)
	}
	snapshot := ownLabels(f)
	mutating, validating := Evaluator{Answer: Mutation}, Evaluator{Answer: Validation}
	f.Fuzz(func(t *testing.T, object string) {
		if !json.Valid([]byte(object)) {
			return
		}
		first := mutating.answered(t, snapshot, createReview(object))
		if first == nil || !first.Allowed {
			return
		}
		after := applied(t, object, first)
		if second := mutating.answered(t, snapshot, createReview(after)); second == nil || !second.Allowed || len(second.Patch) > 0 {
			t.Errorf("after the patch %s of %s there is more to do: %+v", first.Patch, object, second)
		}
		if final := validating.answered(t, snapshot, createReview(after)); final == nil || !final.Allowed {
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
	object := strings.Replace(tutorial, `"containers":[{`, `"fromTheFuture":{"a":[1.50,9007199254740993]},"containers":[{"newer":null,`, 1)
	answer := Evaluator{Answer: Mutation}.answered(t, ownLabels(t), createReview(object))
	if len(answer.Patch) == 0 {
		t.Fatalf("no patch: %+v", answer)
	}
	after := applied(t, object, answer)
	if diff := cmp.Diff(without(t, object), without(t, after)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}
