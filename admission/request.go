package admission

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Request is what a review asks, apart from its objects.
type Request struct {
	Operation   admissionv1.Operation
	SubResource string
	Namespace   string
}

// placeable tells whether the request can change where a DaemonSet runs. A DELETE must never be denied, and a
// subresource leaves the template as it is.
func (q Request) placeable() bool {
	return (q.Operation == admissionv1.Create || q.Operation == admissionv1.Update) && q.SubResource == ""
}

// Request decodes the review around the objects, and demands that it is one that berth can answer.
func (r *Review) Request() (Request, *field.Error) {
	q, err := r.around()
	if err != nil || !q.placeable() {
		return q, err
	}
	if err := r.mustObject(partObject); err != nil {
		return q, err
	}
	if q.Operation == admissionv1.Update {
		return q, r.mustObject(partOldObject)
	}
	return q, nil
}

// around decodes what stands around the objects.
func (r *Review) around() (Request, *field.Error) {
	if err := r.checkKinds(); err != nil {
		return Request{}, err
	}
	var q Request
	op, err := r.text(partOperation)
	if err != nil {
		return q, err
	}
	q.Operation = admissionv1.Operation(op)
	if !slices.Contains(operations, q.Operation) {
		return q, field.NotSupported(paths[partOperation], admissionv1.Operation(shorten(op, maxShown)), operations)
	}
	if q.SubResource, err = r.text(partSubResource); err != nil {
		return q, err
	}
	if q.Namespace, err = r.text(partNamespace); err != nil {
		return q, err
	}
	if q.Namespace == "" {
		return q, field.Required(paths[partNamespace], "a DaemonSet lives in a namespace")
	}
	return q, nil
}

var operations = []admissionv1.Operation{
	admissionv1.Create, admissionv1.Update, admissionv1.Delete, admissionv1.Connect,
}

// checkKinds demands an admission.k8s.io/v1 AdmissionReview with a request, which has a UID, about an apps/v1 DaemonSet.
func (r *Review) checkKinds() *field.Error {
	for _, want := range reviewKinds {
		if err := r.mustBe(want.part, want.text); err != nil {
			return err
		}
	}
	if err := r.mustObject(partRequest); err != nil {
		return err
	}
	if id, err := r.text(partUID); err != nil {
		return err
	} else if id == "" {
		return field.Required(paths[partUID], "the answer must repeat it")
	} else if len(id) > maxShown {
		return field.TooLong(paths[partUID], "", maxShown)
	}
	if err := r.mustObject(partKind); err != nil {
		return err
	}
	for _, want := range daemonSetKinds {
		if err := r.mustBe(want.part, want.text); err != nil {
			return err
		}
	}
	return nil
}

type expected struct {
	part part
	text string
}

var (
	reviewKinds    = []expected{{partAPIVersion, admissionv1.SchemeGroupVersion.String()}, {partReviewKind, "AdmissionReview"}}
	daemonSetKinds = []expected{{partKindGroup, "apps"}, {partKindVersion, "v1"}, {partKindKind, "DaemonSet"}}
)

func (r *Review) mustBe(p part, want string) *field.Error {
	if raw := r.values[p]; len(raw) == len(want)+2 && string(raw[1:len(raw)-1]) == want {
		return nil
	}
	got, err := r.text(p)
	if err != nil {
		return err
	}
	if got == want {
		return nil
	}
	return field.Invalid(paths[p], shorten(got, maxShown), fmt.Sprintf("must be %q: berth reads admission.k8s.io/v1 AdmissionReviews of apps/v1 DaemonSets only", want))
}

// LocateHead is Locate for the head of a body that is too large: what stands before the objects is known, and nothing of these.
func (r *Review) LocateHead(head []byte) (Request, error) {
	if err := r.Locate(head); err != nil && !r.scanner.cutShort() {
		return Request{}, err
	}
	if r.values[partRequest] == nil {
		r.values[partRequest] = []byte("{}") // it is open still
	}
	asked, err := r.around()
	if err != nil {
		return Request{}, err
	}
	return asked, nil
}
