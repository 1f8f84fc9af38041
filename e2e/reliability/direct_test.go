package reliability_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/e2e/testbed"
)

const mutatePath = "/mutate-apps-v1-daemonset"

// review is what the API server sends when somebody creates the DaemonSet.
func review(t *testing.T, namespace string, ds *appsv1.DaemonSet) []byte {
	t.Helper()
	ds.Namespace = namespace
	object, err := json.Marshal(ds)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "reliability", Operation: admissionv1.Create, Namespace: namespace, Name: ds.Name,
			Kind:     metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"},
			Resource: metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"},
			Object:   runtime.RawExtension{Raw: object},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// newClient is a client with connections of its own, for callers that are not the API server.
func newClient() *http.Client {
	return &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
}

// post sends a review to a replica, past the API server.
func post(ctx context.Context, client *http.Client, pod *testbed.Pod, body []byte) (code int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+pod.Address("webhook")+mutatePath, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// patches says whether an answer adds the nodeSelector.
func patches(answer []byte) bool {
	var review admissionv1.AdmissionReview
	return json.Unmarshal(answer, &review) == nil && review.Response != nil &&
		strings.Contains(string(review.Response.Patch), "nodeSelector")
}
