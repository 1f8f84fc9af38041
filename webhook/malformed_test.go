package webhook

import (
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"

	"berth.dev/berth/placement"
)

// cause is what kubectl prints of a denial, shortened to what must be in it.
type cause struct{ kind, field, cure string }

func TestAMalformedDaemonSetIsDeniedByFieldWithACure(t *testing.T) {
	const (
		selector     = `"selector":{"matchLabels":{"app":"example"}}`
		terms        = "spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
		ownPods      = "copy spec.template.metadata.labels into spec.selector.matchLabels"
		contradicted = `"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[` +
			`{"matchExpressions":[{"key":"app","operator":"NotIn","values":["example"]}]}]}}},"containers":`
	)
	for name, test := range map[string]struct {
		was, is string
		want    []cause
	}{
		"no selector":       {selector + `,`, ``, []cause{{"FieldValueRequired", "spec.selector", ownPods}}},
		"a null selector":   {selector, `"selector":null`, []cause{{"FieldValueRequired", "spec.selector", ownPods}}},
		"an empty selector": {selector, `"selector":{}`, []cause{{"FieldValueRequired", "spec.selector", ownPods}}},
		"a selector that does not match the template's labels": {
			`{"labels":{"app":"example"}}`, `{"labels":{"app":"other"}}`,
			[]cause{{"FieldValueInvalid", "spec.template.metadata.labels", "must match spec.selector (app=example)"}},
		},
		"a template without labels": {
			`"metadata":{"labels":{"app":"example"}},`, ``,
			[]cause{{"FieldValueInvalid", "spec.template.metadata.labels", "must match spec.selector (app=example)"}},
		},
		"a key and a value that are no label": {selector, `"selector":{"matchLabels":{"app ":"x y"}}`, []cause{
			{"FieldValueInvalid", "spec.selector.matchLabels", `"app ": name part must consist of`},
			{"FieldValueInvalid", "spec.selector.matchLabels", `"x y": a valid label must`},
		}},
		"another value for a required key": {
			`"containers":`, `"nodeSelector":{"app":"other"},"containers":`,
			[]cause{{"FieldValueInvalid", "spec.template.spec.nodeSelector[app]", `remove the key or set it to "example"`}},
		},
		"a bad operator": {
			selector, `"selector":{"matchExpressions":[{"key":"app","operator":"Equals","values":["example"]}]}`,
			[]cause{{"FieldValueNotSupported", "spec.selector.matchExpressions[0].operator", `supported values: "In", "NotIn"`}},
		},
		"a contradictory placement": {
			`"containers":`, contradicted,
			[]cause{{"FieldValueInvalid", terms + "[0].matchExpressions[0]", "remove this expression"}},
		},
		"a node name": {
			`"containers":`, `"nodeName":"n-1","containers":`,
			[]cause{{"FieldValueForbidden", "spec.template.spec.nodeName", "remove it, and label the node instead"}},
		},
		"two faults at once": {selector + `,"template":{"metadata":{"labels":{"app":"example"}},"spec":{`, `"template":{"spec":{"nodeName":"n-1",`, []cause{
			{"FieldValueForbidden", "spec.template.spec.nodeName", "remove it, and label the node instead"},
			{"FieldValueRequired", "spec.selector", ownPods},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			facts := newFacts(t, ownLabel)
			site := serve(t, facts, logr.Discard())
			object := replaceOnce(t, tutorial, test.was, test.is)
			for _, path := range []string{MutatePath, ValidatePath} {
				got := site.ask(t, path, createReview(object))
				if diff := cmp.Diff(denialOf(t, facts, object), got); diff != "" {
					t.Fatalf("answer (-want +got):\n%s", diff)
				}
				checkCauses(t, test.want, got.Result)
			}
		})
	}
}

// denialOf is the very Status that the API server would give for what placement finds in the typed object.
func denialOf(t *testing.T, facts Facts, object string) *admissionv1.AdmissionResponse {
	t.Helper()
	var typed appsv1.DaemonSet
	if err := json.UnmarshalCaseSensitivePreserveInts([]byte(object), &typed); err != nil {
		t.Fatal(err)
	}
	policies, _ := facts.Snapshot().PoliciesFor("default")
	q := placement.Question{New: placement.ObjectOf(&typed)}
	denied := policies.Select(q.New, nil, nil).Decide(&q).Denied()
	status := apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "DaemonSet"}, "example-daemonset", denied).Status()
	return &admissionv1.AdmissionResponse{UID: testUID, Result: &status, AuditAnnotations: map[string]string{"policies": "own-label"}}
}

// checkCauses checks that kubectl has every cause to print, as a list and in the message.
func checkCauses(t *testing.T, causes []cause, got *metav1.Status) {
	t.Helper()
	if len(got.Details.Causes) != len(causes) {
		t.Fatalf("want %d causes, got %v", len(causes), got.Details.Causes)
	}
	for i, want := range causes {
		is := got.Details.Causes[i]
		if string(is.Type) != want.kind || is.Field != want.field || !strings.Contains(is.Message, want.cure) {
			t.Errorf("cause %d: want %v, got %v", i, want, is)
		}
		if !strings.Contains(got.Message, want.field) || !strings.Contains(got.Message, want.cure) {
			t.Errorf("the message has no %v: %s", want, got.Message)
		}
	}
}
