package admission

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// alike is a snapshot with so many policies of one spec.
func alike(t *testing.T, n int, spec string) *cluster.Snapshot {
	t.Helper()
	var list []v1alpha1.PlacementPolicy
	for i := range n {
		policy := v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("policy-%03d", i)}}
		if err := yaml.UnmarshalStrict([]byte(spec), &policy.Spec); err != nil {
			t.Fatal(err)
		}
		list = append(list, policy)
	}
	policies, failed := placement.Compile(list)
	if len(failed) > 0 {
		t.Fatal(failed)
	}
	return cluster.NewSnapshot(policies, []placement.Namespace{{Name: "default"}}, &cluster.NodeIndex{})
}

// listOf is n JSON texts with commas between them.
func listOf(n int, format string) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(format, i))
	}
	return strings.Join(list, ",")
}

func TestADenialIsShortWhateverIsSent(t *testing.T) {
	const (
		limit     = 64 << 10
		selector  = "nodeSelectorFrom: [{type: WorkloadSelector}]"
		annotated = "nodeSelectorFrom: [{type: WorkloadAnnotation, workloadAnnotation: {allowedKeys: [pool]}}]"
	)
	with := func(from, to string) string {
		object := strings.Replace(tutorial, from, to, 1)
		if object == tutorial {
			t.Fatal(from)
		}
		return object
	}
	long := strings.Repeat("x", 1<<20)
	control := strings.Repeat(`\u0001<`, 1<<17)
	annotation := func(text string) string {
		return with(`"namespace":"default"}`, `"namespace":"default","annotations":{"berth.dev/node-selector":"`+text+`"}}`)
	}
	matchLabels := func(labels string) string {
		return with(`{"matchLabels":{"app":"example"}}`, `{"matchLabels":{`+labels+`}}`)
	}
	affinity := func(expressions string) string {
		return with(`"spec":{"containers"`, `"spec":{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":`+
			`{"nodeSelectorTerms":[{"matchExpressions":[`+expressions+`]}]}}},"containers"`)
	}
	for name, test := range map[string]struct {
		policies int
		spec     string
		object   string
	}{
		"an annotation that is no selector":          {100, annotated, annotation(long)},
		"an annotation of control characters":        {100, annotated, annotation(control)},
		"an annotation of keys that are not allowed": {100, annotated, annotation(listOf(5000, "key-%d=a"))},
		"labels that are none":                       {100, selector, matchLabels(listOf(900, `"-%d":"-"`))},
		"labels that are long":                       {100, selector, matchLabels(listOf(900, `"`+long[:2000]+`-%d":"`+long[:2000]+`"`))},
		"a label of control characters":              {100, selector, matchLabels(`"a":"` + control + `"`)},
		"an operator that is none": {100, selector, with(`{"matchLabels":{"app":"example"}}`,
			`{"matchExpressions":[{"key":"app","operator":"`+long+`"}]}`)},
		"a template's long labels":  {100, selector, with(`"labels":{"app":"example"}`, `"labels":{"app":"`+long+`"}`)},
		"another value of a label":  {1, selector, with(`"spec":{"containers"`, `"spec":{"nodeSelector":{"app":"`+long+`"},"containers"`)},
		"an expression of many":     {1, selector, affinity(`{"key":"app","operator":"In","values":[` + listOf(9000, `"value-%d"`) + `]}`)},
		"an expression of long":     {1, selector, affinity(`{"key":"app","operator":"In","values":[` + listOf(900, `"`+long[:2000]+`-%d"`) + `]}`)},
		"an expression of controls": {1, selector, affinity(`{"key":"app","operator":"In","values":["` + control + `"]}`)},
		"a contradiction of the user's own": {1, selector, affinity(`{"key":"` + long + `","operator":"Exists"},{"key":"` + long +
			`","operator":"NotIn","values":["` + long + `"]},{"key":"` + long + `","operator":"DoesNotExist"}`)},
		"a name":                       {1, "nodeSelector: {pool: a}\nnodeChecks: {validationActions: [Deny]}", with(`"name":"example-daemonset"`, `"name":"`+long+`"`)},
		"a label that no node has":     {1, "nodeSelector: {pool: a}\nnodeChecks: {validationActions: [Deny]}", with(`"spec":{"containers"`, `"spec":{"nodeSelector":{"`+long+`":"`+long+`"},"containers"`)},
		"a receipt that is not obeyed": {1, "nodeSelector: {pool: a}", with(`"namespace":"default"}`, `"namespace":"default","annotations":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"`+long+`\":{\"nodeSelector\":{\"pool\":\"a\"}}}}"}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			snapshot := alike(t, test.policies, test.spec)
			var review Review
			if err := review.Locate([]byte(createReview(test.object))); err != nil {
				t.Fatal(err)
			}
			asked, invalid := review.Request()
			if invalid != nil {
				t.Fatal(invalid)
			}
			for phase, answer := range map[string]func(*placement.Decision) Answer{"mutating": Mutation, "validating": Validation} {
				a, err := (&Evaluator{Answer: answer}).Evaluate(t.Context(), &review, asked, snapshot)
				if err != nil {
					t.Fatal(err)
				}
				if phase == "validating" && len(a.Denied) == 0 {
					t.Error("it is not denied")
				}
				body, _ := a.AppendJSON(nil, nil, &review)
				if len(a.Patch) == 0 && len(body) > limit || !json.Valid(body) {
					t.Errorf("%s: an answer of %d bytes: %.300s", phase, len(body), body)
				}
			}
		})
	}
}
