package admission

import (
	"encoding/json"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
)

var policyKind = schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "PlacementPolicy"}

// AnswerPolicy answers the review of a PlacementPolicy in body: one that does not compile is denied, as its status would tell
// only later. An update may keep what was wrong before. Whoever decides on DaemonSets needs none of this, so the bytes are
// decoded whole and by the API's own types. An error is about the body: it is no such review.
func AnswerPolicy(body []byte) (*admissionv1.AdmissionReview, error) {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("decode the AdmissionReview: %w", err)
	}
	request := review.Request
	if request == nil || request.UID == "" || request.Kind.Group != policyKind.Group || request.Kind.Kind != policyKind.Kind {
		return nil, fmt.Errorf("request: must be about a %s, and have a uid", policyKind)
	}
	answer := &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true}
	if request.SubResource == "" && (request.Operation == admissionv1.Create || request.Operation == admissionv1.Update) {
		if request.Object.Raw == nil {
			return nil, errors.New("request: must have an object")
		}
		if errs := newErrors(request); len(errs) > 0 {
			shown := Answer{Denied: errs}
			denial := apierrors.NewInvalid(policyKind, shorten(request.Name, maxShown), shown.Causes()).Status()
			answer.Allowed, answer.Result = false, &denial
		}
	}
	return &admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: answer}, nil
}

// newErrors is what is wrong with the policy, and was not with the old one. Where in a list it stands does not matter.
func newErrors(request *admissionv1.AdmissionRequest) field.ErrorList {
	errs, decoded := policyErrors(request.Object.Raw)
	if !decoded || len(errs) == 0 || request.Operation == admissionv1.Create {
		return errs
	}
	before, _ := policyErrors(request.OldObject.Raw)
	known := sets.New[string]()
	for _, e := range before {
		known.Insert(e.ErrorBody())
	}
	var news field.ErrorList
	for _, e := range errs {
		if !known.Has(e.ErrorBody()) {
			news = append(news, e)
		}
	}
	return news
}

// policyErrors are those of a policy. One that cannot be decoded must not be stored: berth could read no policy any more.
func policyErrors(raw []byte) (errs field.ErrorList, decoded bool) {
	var policy v1alpha1.PlacementPolicy
	if err := json.Unmarshal(raw, &policy); err != nil {
		return field.ErrorList{field.Invalid(field.NewPath("spec"), field.OmitValueType{}, err.Error())}, false
	}
	return cluster.Validate(&policy), true
}

// DecodedSize is not less than what AnswerPolicy takes of memory for a body, beyond it.
func DecodedSize(body []byte) int64 { return decodedSize(body) }
