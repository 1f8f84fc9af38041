package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// policyCreated is the review of a new PlacementPolicy.
func policyCreated(spec string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"a-uid",` +
		`"kind":{"group":"berth.dev","version":"v1alpha1","kind":"PlacementPolicy"},"operation":"CREATE","name":"new",` +
		`"object":{"apiVersion":"berth.dev/v1alpha1","kind":"PlacementPolicy","metadata":{"name":"new"},"spec":` + spec + `}}}`
}

func TestPoliciesAreValidatedOverHTTP(t *testing.T) {
	const good, bad = `{"nodeSelector":{"pool":"a"}}`, `{"nodeSelector":{"pool":"a"},"matchConditions":[{"name":"a","expression":"objekt"}]}`
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) { s.Register(ValidatePolicyPath, NewPolicyValidator(logr.Discard())) })
	if answer := site.ask(t, ValidatePolicyPath, policyCreated(good)); !answer.Allowed {
		t.Errorf("a good one is answered %v", answer)
	}
	if answer := site.ask(t, ValidatePolicyPath, policyCreated(bad)); answer.Allowed || answer.Result.Code != http.StatusUnprocessableEntity ||
		!strings.Contains(answer.Result.Message, "undeclared reference to 'objekt'") {
		t.Errorf("a bad one is answered %v", answer)
	}
	longest := `{"matchConditions":[` + strings.Repeat(" ", maxPolicyReview) + `]}`
	for body, want := range map[string]int{
		createReview(tutorial): http.StatusBadRequest, "{": http.StatusBadRequest, policyCreated(longest): http.StatusRequestEntityTooLarge,
	} {
		if got := site.post(t, ValidatePolicyPath, body); got.code != want {
			t.Errorf("%.80s is answered %d, not %d: %s", body, got.code, want, got.body)
		}
	}
	idleBudget(t)
}

func TestPoliciesAreCompiledOneAtATimeAndWhoeverDoesNotWaitIsPutOff(t *testing.T) {
	validator := NewPolicyValidator(logr.Discard())
	validator.one <- struct{}{} // one is being compiled
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) { s.Register(ValidatePolicyPath, validator) })
	before := counted(t, "berth_admission_requests_total", "reason", "overloaded")
	hurried := *site.client
	hurried.Timeout = 100 * time.Millisecond
	request := site.request(t, ValidatePolicyPath, policyCreated(`{"nodeSelector":{"pool":"a"}}`))
	if response, err := hurried.Do(request); err == nil {
		_ = response.Body.Close()
		t.Errorf("answered %s while another is compiled", response.Status)
	}
	eventually(t, "the one that has gone is counted", func() bool {
		return counted(t, "berth_admission_requests_total", "reason", "overloaded") == before+1
	})
	<-validator.one
	if answer := site.ask(t, ValidatePolicyPath, policyCreated(`{"nodeSelector":{"pool":"a"}}`)); !answer.Allowed {
		t.Errorf("answered %v after the other was compiled", answer)
	}
}
