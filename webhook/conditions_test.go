package webhook

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/conditions"
)

// withConditions is facts with one policy that has these matchConditions.
func withConditions(t *testing.T, failurePolicy string, expressions ...string) *fixedFacts {
	t.Helper()
	var list []v1alpha1.MatchCondition
	spec := "metadata: {name: conditional}\nspec:\n  failurePolicy: " + failurePolicy + "\n  nodeSelectorFrom: [{type: WorkloadSelector}]\n  matchConditions:\n"
	for _, expression := range expressions {
		list = append(list, v1alpha1.MatchCondition{Name: "c", Expression: expression})
		spec += "  - {name: c, expression: \"" + expression + "\"}\n"
	}
	program, errs := conditions.Compile(list)
	if errs != nil {
		t.Fatal(errs)
	}
	facts := newFacts(t, spec)
	facts.snapshot = facts.snapshot.WithConditions(map[string]*conditions.Program{"conditional": program})
	return facts
}

func TestMatchConditionsSayWhetherAPolicyApplies(t *testing.T) {
	tests := map[string]struct {
		expression, failurePolicy string
		patched                   bool
		denied, warned            string
	}{
		"met by the request":     {expression: "request.operation == 'CREATE' && !has(request.object)", patched: true},
		"met by the object":      {expression: "object.spec.selector.matchLabels.app == 'example'", patched: true},
		"met by the namespace":   {expression: "namespaceObject.metadata.name == 'default'", patched: true},
		"met on creation":        {expression: "oldObject == null", patched: true},
		"not met":                {expression: "request.userInfo.username == 'nobody'"},
		"a failure denies":       {expression: "object.spec.nothing == 1", denied: `matchCondition "c": no such key: nothing`},
		"a failure is a warning": {expression: "object.spec.nothing == 1", failurePolicy: "Ignore", warned: `matchCondition "c": no such key: nothing`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.failurePolicy == "" {
				test.failurePolicy = "Fail"
			}
			site := serve(t, withConditions(t, test.failurePolicy, test.expression), logr.Discard())
			got := site.ask(t, MutatePath, createReview(tutorial))
			var denied, warned string
			if got.Result != nil {
				denied = got.Result.Message
			}
			warned = strings.Join(got.Warnings, "\n")
			if (len(got.Patch) > 0) != test.patched || !strings.Contains(denied, test.denied) || got.Allowed != (test.denied == "") || !strings.Contains(warned, test.warned) {
				t.Errorf("answer %+v, result %v, warnings %v", got, denied, got.Warnings)
			}
		})
	}
}

func TestLargeRequestsAreDecodedWholeOneAfterTheOther(t *testing.T) {
	site := serve(t, withConditions(t, "Fail", "true"), logr.Discard())
	sized := func(bytes int) string {
		return createReview(replaceOnce(t, tutorial, `"spec":{`, `"status":{"x":"`+strings.Repeat("x", bytes)+`"},"spec":{`))
	}
	large := sized(2 << 20)
	for range 3 { // each gives back what it took
		if got := site.post(t, MutatePath, large); got.code != http.StatusOK {
			t.Errorf("alone: %d %s", got.code, got.body)
		}
	}
	if decodedWhole.left.Load() != MaxDecodedWhole {
		t.Fatal("there is not all of the budget")
	}
	decodedWhole.Take(MaxDecodedWhole)
	defer decodedWhole.Give(MaxDecodedWhole)
	if got := site.post(t, MutatePath, large); got.code != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" {
		t.Errorf("beside others: %d %s", got.code, got.body)
	}
	if got := site.post(t, MutatePath, createReview(tutorial)); got.code != http.StatusServiceUnavailable {
		t.Errorf("a small one beside others: %d %s", got.code, got.body)
	}
}

func TestWhatBerthWroteIsTakenBackWhereNoPolicyIsForTheNamespace(t *testing.T) {
	site := serve(t, newFacts(t, "metadata: {name: elsewhere}\nspec:\n  matchConstraints: {namespaceSelector: {matchLabels: {never: there}}}\n  nodeSelector: {a: b}\n"), logr.Discard())
	rolled := replaceOnce(t, placed, `"image":"example-image:latest"`, `"image":"example-image:v2"`)
	got := site.ask(t, MutatePath, updateReview(rolled, placed))
	const want = `[{"op":"remove","path":"/spec/template/spec/nodeSelector"},{"op":"add","path":"/metadata/annotations/berth.dev~1injected","value":"{\"version\":2,\"past\":`
	if !strings.HasPrefix(string(got.Patch), want) {
		t.Errorf("patch %s", got.Patch)
	}
	copied := site.ask(t, MutatePath, createReview(placed))
	if diff := cmp.Diff(`[{"op":"remove","path":"/metadata/annotations/berth.dev~1injected"}]`, string(copied.Patch)); diff != "" {
		t.Errorf("of a copy, whose values are its author's (-want +got):\n%s", diff)
	}
}
