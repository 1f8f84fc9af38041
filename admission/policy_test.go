package admission_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/admission"
)

// policyReview is what the API server sends of a policy's write; old is "" on creation.
func policyReview(t *testing.T, policy, old string) []byte {
	t.Helper()
	request := &admissionv1.AdmissionRequest{
		UID: "a-uid", Kind: metav1.GroupVersionKind{Group: "berth.dev", Version: "v1alpha1", Kind: "PlacementPolicy"},
		Name: "pool-a", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: []byte(policy)},
	}
	if old != "" {
		request.Operation, request.OldObject.Raw = admissionv1.Update, []byte(old)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: request,
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func policyWith(conditions ...string) string {
	for i, expression := range conditions {
		conditions[i] = `{"name":"c` + string(rune('a'+i)) + `","expression":"` + expression + `"}`
	}
	return `{"metadata":{"name":"pool-a"},"spec":{"nodeSelector":{"pool":"a"},"matchConditions":[` + strings.Join(conditions, ",") + `]}}`
}

func TestAPolicyThatDoesNotCompileIsDeniedAndAnUpdateMayKeepWhatWasWrong(t *testing.T) {
	const badSelector = `{"spec":{"nodeSelector":{"pool":"a"},"matchConstraints":{"namespaceSelector":{"matchLabels":{"team":"no value"}}}}}`
	tests := map[string]struct {
		policy, old string
		want        []string // the fields of the causes
	}{
		"good":                                  {policy: policyWith("true")},
		"a misspelt variable":                   {policy: policyWith("true", "objekt == null"), want: []string{"spec.matchConditions[1].expression"}},
		"a selector that the schema cannot see": {policy: badSelector, want: []string{"spec.matchConstraints.namespaceSelector.matchLabels"}},
		"nothing":                               {policy: `{"spec":{}}`, want: []string{"spec"}},
		"made bad":                              {policy: policyWith("objekt == null"), old: policyWith("true"), want: []string{"spec.matchConditions[0].expression"}},
		"mended":                                {policy: policyWith("true"), old: policyWith("objekt == null")},
		"bad as before, at another place":       {policy: policyWith("objekt == null"), old: policyWith("true", "objekt == null")},
		"a number that is too large":            {policy: `{"spec":{"nodeChecks":{"minMatchingNodes":2147483648}}}`, want: []string{"spec"}},
		"too large as before":                   {policy: `{"spec":{"nodeChecks":{"minMatchingNodes":2147483648}}}`, old: `{"spec":{"nodeChecks":{"minMatchingNodes":2147483648}}}`, want: []string{"spec"}},
		"too large, and mended":                 {policy: policyWith("true"), old: `{"spec":{"nodeChecks":{"minMatchingNodes":2147483648}}}`},
		"bad as before, and worse":              {policy: policyWith("objekt == null", "objekt != null"), old: policyWith("objekt == null"), want: []string{"spec.matchConditions[1].expression"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			review, err := admission.AnswerPolicy(policyReview(t, test.policy, test.old))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if result := review.Response.Result; result != nil {
				for _, cause := range result.Details.Causes {
					got = append(got, cause.Field)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
			if review.Response.Allowed != (len(got) == 0) || review.Response.UID != "a-uid" || review.Kind != "AdmissionReview" {
				t.Errorf("answered %v", review)
			}
		})
	}
}

func TestWhatIsNoReviewOfAPolicyIsAnError(t *testing.T) {
	for _, body := range []string{
		"", "{}", `{"request":{}}`, `{"request":{"uid":"a","kind":{"group":"apps","kind":"DaemonSet"},"operation":"CREATE"}}`,
		`{"request":{"uid":"a","kind":{"group":"berth.dev","kind":"PlacementPolicy"},"operation":"CREATE"}}`,
	} {
		if review, err := admission.AnswerPolicy([]byte(body)); err == nil {
			t.Errorf("%s is answered %v", body, review)
		}
	}
}

func TestADenialOfAPolicyHasABound(t *testing.T) {
	var conditions []string
	for range 4 {
		conditions = append(conditions, strings.Repeat("ü", 1000)+strings.Repeat("x", 3000))
	}
	policy := strings.Replace(policyWith(conditions[:1]...), `"matchConditions":[`, `"matchConditions":[`+strings.Repeat(`{"name":"a","expression":"`+conditions[1]+`"},`, 3), 1)
	for _, old := range []string{"", policyWith("true")} {
		review, err := admission.AnswerPolicy(policyReview(t, policy, old))
		if err != nil {
			t.Fatal(err)
		}
		if answer, _ := json.Marshal(review); review.Response.Allowed || len(answer) > 64<<10 {
			t.Errorf("allowed: %t; the answer has %d bytes", review.Response.Allowed, len(answer))
		}
	}
}
