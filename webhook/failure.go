package webhook

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// retryAfterSeconds is when a client may come again that came too early. The API server does so by itself, on an integer.
const retryAfterSeconds = 1

// failure is a request that berth could not decide, as HTTP says it.
type failure struct {
	result  result
	code    int
	reason  metav1.StatusReason
	message string
	// cause is for the log; nil where the client alone is at fault.
	cause error
	// stack is where a panic came from.
	stack string
}

func badRequest(cause error) *failure {
	return &failure{result: failedBody, code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, message: cause.Error()}
}

func notReady() *failure {
	return unavailable(failedNotReady, "berth does not know the cluster's policies, namespaces and nodes yet: try again in a second")
}

func overloaded() *failure {
	return unavailable(failedOverloaded, "berth has too many large requests at a time: try again in a second")
}

// unavailable is what passes by itself.
func unavailable(r result, message string) *failure {
	return &failure{result: r, code: http.StatusServiceUnavailable, reason: metav1.StatusReasonServiceUnavailable, message: message}
}

func internalError(r result, cause error) *failure {
	return &failure{
		result: r, code: http.StatusInternalServerError, reason: metav1.StatusReasonInternalError,
		message: "berth: " + cause.Error(), cause: cause,
	}
}

func tooLarge(what string, limit int) *failure {
	return &failure{
		result: failedSize, code: http.StatusRequestEntityTooLarge, reason: metav1.StatusReasonRequestEntityTooLarge,
		message: fmt.Sprintf("%s must not be larger than %d bytes", what, limit),
	}
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
	if r.ContentLength > maxBody {
		return tooLarge("the body", maxBody)
	}
	return nil
}

func unsupported(message string) *failure {
	return &failure{
		result: failedMediaType, code: http.StatusUnsupportedMediaType, reason: metav1.StatusReasonUnsupportedMediaType,
		message: message,
	}
}
