package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/admission"
	"berth.dev/berth/cluster"
)

// retryAfterSeconds is when a client may come again that came too early. The API server does so by itself, on an integer.
const retryAfterSeconds = 1

// failure is a request that berth could not decide, as HTTP says it.
type failure struct {
	result  failureResult
	code    int
	reason  metav1.StatusReason
	message string
	// cause is for the log; nil where the client alone is at fault.
	cause error
	// stack is where a panic came from.
	stack string
}

func badRequest(cause error) *failure {
	return &failure{result: failedBody, code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: admission.Shorten(cause.Error())}
}

func notReady() *failure {
	return unavailable(failedNotReady, "berth does not know the cluster's policies, namespaces and nodes yet: try again in a second")
}

func overloaded() *failure {
	return unavailable(failedOverloaded, admission.ErrOverloaded.Error()+": try again in a second")
}

// unavailable is what passes by itself.
func unavailable(r failureResult, message string) *failure {
	return &failure{result: r, code: http.StatusServiceUnavailable, reason: metav1.StatusReasonServiceUnavailable, message: message}
}

func internalError(r failureResult, cause error) *failure {
	return &failure{
		result: r, code: http.StatusInternalServerError, reason: metav1.StatusReasonInternalError,
		message: "berth: " + cause.Error(), cause: cause,
	}
}

// bodyTooLarge is for a body that is no review by its head.
func bodyTooLarge(limit int) *failure {
	return &failure{
		result: failedSize, code: http.StatusRequestEntityTooLarge, reason: metav1.StatusReasonRequestEntityTooLarge,
		message: fmt.Sprintf("the body must not be larger than %d bytes", limit),
	}
}

// undecided is a review that admission could not decide; nil where it could.
func undecided(cause error) *failure {
	if cause == nil {
		return nil
	}
	if errors.Is(cause, admission.ErrOverloaded) {
		return overloaded()
	}
	if namespace, ok := errors.AsType[*admission.NamespaceError](cause); ok {
		if errors.Is(cause, cluster.ErrTooManyReads) {
			return unavailable(failedNamespace, fmt.Sprintf("berth does not know namespace %q yet, and %v: try again in a second", namespace.Name, namespace.Err))
		}
		return internalError(failedNamespace, cause)
	}
	return badRequest(cause)
}

// unreadable is a body that did not arrive.
func unreadable(cause error) *failure {
	if errors.Is(cause, os.ErrDeadlineExceeded) {
		return &failure{
			result: failedBody, code: http.StatusRequestTimeout, reason: metav1.StatusReasonTimeout,
			message: "the body did not arrive within " + readTimeout.String(),
		}
	}
	return badRequest(fmt.Errorf("read the body: %w", cause))
}

// checkHeader refuses, by its header alone, a request that is no AdmissionReview.
func checkHeader(r *http.Request) *failure {
	if r.Method != http.MethodPost {
		return &failure{
			result: failedMethod, code: http.StatusMethodNotAllowed, reason: metav1.StatusReasonMethodNotAllowed,
			message: "send an AdmissionReview with POST, not " + strconv.Quote(r.Method),
		}
	}
	if contentType := r.Header.Get("Content-Type"); contentType != "application/json" {
		mediaType, _, err := mime.ParseMediaType(contentType)
		if err != nil || mediaType != "application/json" {
			return unsupported("Content-Type must be application/json, not " + strconv.Quote(contentType))
		}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return unsupported("Content-Encoding must be identity, not " + strconv.Quote(encoding))
	}
	return nil
}

func unsupported(message string) *failure {
	return &failure{
		result: failedMediaType, code: http.StatusUnsupportedMediaType, reason: metav1.StatusReasonUnsupportedMediaType,
		message: message,
	}
}

// appendFailure appends the Status that goes with an HTTP error, which client-go shows to the user. There is no
// AdmissionReview to put the request's UID in: it is in the details.
func appendFailure(b []byte, f *failure, uid string) []byte {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Message:  f.message,
		Reason:   f.reason,
		Code:     int32(f.code), //nolint:gosec // an HTTP status code
	}
	if uid != "" {
		status.Details = &metav1.StatusDetails{UID: types.UID(uid)}
	}
	if f.code == http.StatusServiceUnavailable {
		if status.Details == nil {
			status.Details = &metav1.StatusDetails{}
		}
		status.Details.RetryAfterSeconds = retryAfterSeconds
	}
	encoded, _ := json.Marshal(status) // a Status holds nothing that cannot be encoded
	return append(b, encoded...)
}
