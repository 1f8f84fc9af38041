package webhook

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// A policy's review is held while another policy is compiled. What all of them hold leaves half of the memory to reviews of
// DaemonSets, however many come.
func TestFewPoliciesAreTakenAtATimeAndOthersArePutOffAtOnce(t *testing.T) {
	idleBudget(t)
	validator := NewPolicyValidator(logr.Discard())
	validator.one <- struct{}{} // one is being compiled
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) { s.Register(ValidatePolicyPath, validator) })
	large := policyCreated(`{"nodeSelector":{"pool":"a"}}` + strings.Repeat(" ", maxPolicyReview-1024))
	answers := make(chan reply, fewPolicies)
	var all sync.WaitGroup
	for i := range fewPolicies {
		request := site.request(t, ValidatePolicyPath, large)
		all.Go(func() {
			answer, _ := site.exchange(request)
			answers <- answer
		})
		eventually(t, "it has arrived, and waits", func() bool {
			return len(validator.few) == i+1 && bodies.left.Load() <= maxBodies-int64(i+1)*int64(len(large)) && bodies.left.Load() >= maxBodies-int64(i+1)*maxPolicyReview
		})
	}
	for range 20 {
		if got := site.post(t, ValidatePolicyPath, large); got.code != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" || !got.closed {
			t.Errorf("one more is answered %d, header %v, closed: %v", got.code, got.header, got.closed)
		}
	}
	if left := bodies.left.Load(); left < maxBodies/2 {
		t.Errorf("%d bytes are left for the bodies of other reviews", left)
	}
	if left := decodedWhole.left.Load(); left != MaxDecodedWhole {
		t.Errorf("%d bytes are left of the memory for what is decoded, before anything is", left)
	}
	if got := site.post(t, MutatePath, string(shippedReview(172*7, true))); got.code != http.StatusOK {
		t.Errorf("a large review of a DaemonSet is answered %d", got.code)
	}
	<-validator.one
	all.Wait()
	for range fewPolicies {
		if got := <-answers; got.code != http.StatusOK {
			t.Errorf("one of the few is answered %d: %s", got.code, got.body)
		}
	}
	idleBudget(t)
}

func TestAPolicysReviewThatIsTooLargeIsNotRead(t *testing.T) {
	idleBudget(t)
	site := serve(t, newFacts(t, ownLabel), logr.Discard(), func(s *Server) { s.Register(ValidatePolicyPath, NewPolicyValidator(logr.Discard())) })
	conn, err := site.dial(t, &tls.Config{MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", ValidatePolicyPath, maxPolicyReview+1)
	if _, err := io.WriteString(conn, head+strings.Repeat(" ", 2*headSize)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge || !response.Close {
		t.Errorf("answered %d, closed: %v", response.StatusCode, response.Close)
	}
	idleBudget(t)
}

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
