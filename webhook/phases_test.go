package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
)

// request is what a client sends to the API server about the one DaemonSet of a
// life: to create it, to replace it (PUT), or a patch of one of three types.
type request struct {
	verb    string // create, put or patch
	patch   types.PatchType
	body    []byte
	manager string
}

// store is where requests go: the phases below, or a real API server.
type store interface {
	// send returns an error of errDenied where admission denies.
	send(request) error
	// stored returns the DaemonSet, or nil.
	stored() *appsv1.DaemonSet
}

var errDenied = errors.New("denied")

// otherWebhook is another mutating webhook.
type otherWebhook func(*appsv1.DaemonSet)

// phases is what the API server does with a write: it computes the new object
// and who owns its fields, has the webhooks change it, calls those again after
// which another one has changed it, and has them validate it; then it stores it.
// What it computes it has the API server's own libraries compute.
type phases struct {
	tb            testing.TB
	facts         *fixedFacts // nil: without berth
	before, after otherWebhook
	object        *appsv1.DaemonSet
	fields        *managedfields.FieldManager
}

func newPhases(tb testing.TB, facts *fixedFacts) *phases {
	tb.Helper()
	kind := appsv1.SchemeGroupVersion.WithKind("DaemonSet")
	fields, err := managedfields.NewDefaultFieldManager(typeConverter(), scheme.Scheme, scheme.Scheme, scheme.Scheme,
		kind, kind.GroupVersion(), "", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &phases{tb: tb, facts: facts, fields: fields}
}

// typeConverter is large: the benchmarks' servers, which are the same binary, must not have it.
var typeConverter = sync.OnceValue(func() managedfields.TypeConverter { return applyconfigurations.NewTypeConverter(scheme.Scheme) })

func (p *phases) stored() *appsv1.DaemonSet {
	if p.object == nil {
		return nil
	}
	return p.object.DeepCopy()
}

func (p *phases) send(r request) error {
	updated, err := p.requested(r)
	if err != nil {
		return err
	}
	if p.facts != nil {
		if updated, err = p.admit(r, updated); err != nil {
			return err
		}
	} else {
		for _, mutate := range []otherWebhook{p.before, p.after} {
			if mutate != nil {
				mutate(updated)
			}
		}
	}
	// etcd holds protobuf, which does not tell an empty list from none.
	encoded, err := updated.Marshal()
	if err != nil {
		return fmt.Errorf("encode for etcd: %w", err)
	}
	p.object = &appsv1.DaemonSet{}
	p.object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	return p.object.Unmarshal(encoded)
}

// requested is the new object before admission.
func (p *phases) requested(r request) (*appsv1.DaemonSet, error) {
	live := p.stored()
	if live == nil {
		live = &appsv1.DaemonSet{}
		live.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	}
	if r.patch == types.ApplyPatchType {
		applied := map[string]any{}
		if err := json.Unmarshal(r.body, &applied); err != nil {
			return nil, err
		}
		object, err := p.fields.Apply(live, &unstructured.Unstructured{Object: applied}, r.manager, true)
		if err != nil {
			return nil, fmt.Errorf("apply: %w", err)
		}
		return decoded(object)
	}
	body := r.body
	if r.patch == types.StrategicMergePatchType {
		var err error
		if body, err = strategicpatch.StrategicMergePatch(toJSON(live), r.body, appsv1.DaemonSet{}); err != nil {
			return nil, fmt.Errorf("patch: %w", err)
		}
	}
	updated := &appsv1.DaemonSet{}
	if err := json.Unmarshal(body, updated); err != nil {
		return nil, err
	}
	if r.verb == "put" && updated.ManagedFields == nil {
		updated.ManagedFields = live.ManagedFields
	}
	return decoded(p.fields.UpdateNoErrors(live, updated, r.manager))
}

// admit has berth and the others change and validate the object.
func (p *phases) admit(r request, object *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	mutator, validator := NewMutator(p.facts, logr.Discard()), NewValidator(p.facts, logr.Discard())
	var err error
	if p.before != nil {
		p.before(object)
	}
	if object, err = p.ask(r, mutator, object); err != nil {
		return nil, err
	}
	if p.after != nil {
		seen := string(toJSON(object))
		p.after(object)
		if string(toJSON(object)) != seen {
			if object, err = p.ask(r, mutator, object); err != nil {
				return nil, err
			}
		}
	}
	final, err := p.ask(r, mutator, object.DeepCopy())
	if err != nil {
		return nil, fmt.Errorf("asked again, the mutating webhook denies what it has changed: %s", err.Error())
	}
	if was, is := toJSON(object), toJSON(final); string(was) != string(is) {
		return nil, fmt.Errorf("asked again, the mutating webhook has more to do:\n%s\n%s", was, is)
	}
	if _, err := p.ask(r, validator, final); err != nil {
		return nil, fmt.Errorf("the validating webhook denies what the mutating one allows: %s", err.Error())
	}
	return object, nil
}

// ask sends an AdmissionReview, and applies what it answers.
func (p *phases) ask(r request, webhook http.Handler, object *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	body := p.review(r, object)
	answer := answered(p.tb, webhook, body)
	if answer == nil {
		return nil, fmt.Errorf("an HTTP error for %s", body)
	}
	if !answer.Allowed {
		return nil, fmt.Errorf("%w: %s", errDenied, answer.Result.Message)
	}
	changed := &appsv1.DaemonSet{}
	if err := json.Unmarshal([]byte(applied(p.tb, string(toJSON(object)), answer)), changed); err != nil {
		return nil, err
	}
	return changed, nil
}

func (p *phases) review(r request, object *appsv1.DaemonSet) string {
	operation, options, old := "UPDATE", "PatchOptions", "null"
	switch {
	case p.object == nil:
		operation, options = "CREATE", "CreateOptions"
	case r.verb == "put":
		options = "UpdateOptions"
	}
	if p.object != nil {
		old = string(toJSON(p.object))
	}
	review := reviewOf(operation, string(toJSON(object)), old)
	return replaceOnce(p.tb, review, `"options":{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}`,
		fmt.Sprintf(`"options":{"kind":%q,"apiVersion":"meta.k8s.io/v1","fieldManager":%q}`, options, r.manager))
}

func decoded(object runtime.Object) (*appsv1.DaemonSet, error) {
	ds := &appsv1.DaemonSet{}
	if err := json.Unmarshal(toJSON(object), ds); err != nil {
		return nil, err
	}
	for i := range ds.ManagedFields {
		ds.ManagedFields[i].Time = nil
	}
	return ds, nil
}

// toJSON encodes what has been decoded, which cannot fail.
func toJSON(object any) []byte {
	encoded, _ := json.Marshal(object)
	return encoded
}

// answered has a webhook answer a review; nil is an HTTP error.
func answered(tb testing.TB, webhook http.Handler, body string) *admissionv1.AdmissionResponse {
	tb.Helper()
	request := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, MutatePath, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	webhook.ServeHTTP(w, request)
	var review admissionv1.AdmissionReview
	if w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &review) != nil {
		return nil
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
