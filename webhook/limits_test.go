package webhook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
)

const (
	denying = "metadata: {name: p}\nspec: {nodeSelector: {a: b}}\n"
	warning = "metadata: {name: p}\nspec: {nodeSelector: {a: b}, validationActions: [Warn]}\n"
	inAudit = "metadata: {name: p}\nspec: {nodeSelector: {a: b}, mode: Audit}\n"
	ofOther = "metadata: {name: p}\nspec: {nodeSelector: {a: b}, matchConstraints: {objectSelector: {matchLabels: {tier: x}}}}\n"
)

// What is beyond the limits is decided, and no HTTP error: failurePolicy Ignore would let those through.
func TestWhatIsBeyondTheLimitsGoesTheWayOfThePoliciesActions(t *testing.T) {
	elsewhere := func(review string) string {
		return replaceOnce(t, review, `"namespace":"default","op`, `"namespace":"other","op`)
	}
	selector := withSelector(t, numbered(`,"k%07d":"v"`, 15*1001))
	labels := createReview(withLabels(t, tutorial, 1001))
	huge := createReview(replaceOnce(t, tutorial, `"spec":{`, `"status":{"x":"`+strings.Repeat("x", 17<<20)+`"},"spec":{`))
	inDefault := func(policy string) string {
		return replaceOnce(t, policy, "spec: {", "spec: {matchConstraints: {namespaceSelector: {matchLabels: {berth.dev/placement: enabled}}}, ")
	}
	for name, test := range map[string]struct {
		policy, review string
		denied, warned string
	}{
		"a selector":                              {policy: denying, review: selector, denied: "spec.selector: Too many: 1002: must have at most 1000 items"},
		"labels":                                  {policy: denying, review: labels, denied: "metadata.labels: Too many: 1001: must have at most 1000 items"},
		"the whole":                               {policy: denying, review: huge, denied: "larger than 16777216 bytes in a review"},
		"a selector, a policy that warns":         {policy: warning, review: selector, warned: "must have at most 1000 items"},
		"the whole, a policy that warns":          {policy: warning, review: huge, warned: "larger than 16777216 bytes"},
		"the whole, a policy in mode Audit":       {policy: inAudit, review: huge},
		"a selector, a policy for other objects":  {policy: ofOther, review: selector},
		"labels that cannot be told from others":  {policy: ofOther, review: labels, denied: "metadata.labels: Too many"},
		"the whole, of which no labels are known": {policy: ofOther, review: huge, denied: "larger than 16777216 bytes"},
		"labels, a namespace without policies":    {policy: inDefault(denying), review: elsewhere(labels)},
		"the whole, a namespace without policies": {policy: inDefault(denying), review: elsewhere(huge)},
		"the whole, with other work to do":        {policy: denying, review: replaceOnce(t, huge, `"operation":"CREATE"`, `"operation":"DELETE"`)},
	} {
		t.Run(name, func(t *testing.T) {
			site := serve(t, newFacts(t, test.policy), logr.Discard())
			for _, path := range []string{MutatePath, ValidatePath, BestEffortValidatePath} {
				got := site.ask(t, path, test.review)
				if got.Allowed != (test.denied == "") || len(got.Patch) > 0 {
					t.Fatalf("%s: %+v %v", path, got, got.Result)
				}
				if !got.Allowed && (got.Result.Code != http.StatusUnprocessableEntity || !strings.Contains(got.Result.Message, test.denied)) {
					t.Errorf("%s: %v", path, got.Result)
				}
				if warned := strings.Join(got.Warnings, " "); !strings.Contains(warned, test.warned) || test.warned == "" && warned != "" {
					t.Errorf("%s: warnings %q", path, warned)
				}
			}
		})
	}
}

// What was stored before there was a policy can be brought within the limits.
func TestAnObjectThatIsBeyondTheLimitsCanBeMended(t *testing.T) {
	site := serve(t, newFacts(t, denying), logr.Discard())
	old := withLabels(t, tutorial, 1001)
	if got := site.ask(t, MutatePath, updateReview(old, old)); !got.Allowed {
		t.Errorf("an update that changes nothing of it: %v", got.Result)
	}
	if got := site.ask(t, MutatePath, updateReview(replaceOnce(t, old, "latest", "v2"), old)); got.Allowed {
		t.Error("the limit does not count")
	}
	if got := site.ask(t, MutatePath, updateReview(replaceOnce(t, tutorial, "latest", "v2"), old)); !got.Allowed || len(got.Patch) == 0 {
		t.Errorf("one that mends it: %+v %v", got, got.Result)
	}
}

// What the mutating webhook makes of an object at its limits, the validating one can read, and both can at the next update.
func TestWhatBerthWritesIsWithinItsOwnLimits(t *testing.T) {
	var values strings.Builder
	for i := range 63 {
		fmt.Fprintf(&values, "v%d, ", i)
	}
	policy := "metadata: {name: p}\nspec:\n  nodeSelector: {a: b}\n  tolerations: [{key: k, operator: Exists}]\n" +
		"  nodeRequirements: [{key: r, operator: NotIn, values: [" + values.String() + "v63]}]\n"
	term := `{"matchExpressions":[{"key":"x","operator":"Exists"}]}`
	terms := strings.Repeat(term+",", 1999) + term
	full := replaceOnce(t, tutorial, `"containers":`, `"nodeSelector":{"n":""`+numbered(`,"k%07d":"v"`, 15*999)+`},`+
		`"tolerations":[{"key":"t"}`+strings.Repeat(`,{"key":"t"}`, 9999)+`],`+
		`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[`+terms+`]}}},"containers":`)
	full = replaceOnce(t, full, `"metadata":{`, `"metadata":{"annotations":{"a":""`+numbered(`,"k%07d":"v"`, 15*999)+`},`)
	site := serve(t, newFacts(t, policy), logr.Discard())
	mutated := site.ask(t, MutatePath, createReview(full))
	if !mutated.Allowed || len(mutated.Patch) == 0 {
		t.Fatalf("%v", mutated.Result)
	}
	patch, err := jsonpatch.DecodePatch(mutated.Patch)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := patch.Apply([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if got := site.ask(t, ValidatePath, createReview(string(stored))); !got.Allowed {
		t.Errorf("what berth wrote: %v", got.Result)
	}
	if !json.Valid(stored) {
		t.Fatal("no JSON")
	}
	rolled := replaceOnce(t, string(stored), "latest", "v2")
	for _, path := range []string{MutatePath, ValidatePath} {
		if got := site.ask(t, path, updateReview(rolled, string(stored))); !got.Allowed {
			t.Errorf("the next update, %s: %v", path, got.Result)
		}
	}
}
