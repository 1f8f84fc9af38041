package e2e_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

const (
	mutatePath   = "/mutate-apps-v1-daemonset"
	validatePath = "/validate-apps-v1-daemonset"
)

// reviewOf is the creation of a DaemonSet as the API server tells berth of it.
func reviewOf(t *testing.T, namespace string, object []byte) (body []byte) {
	t.Helper()
	kind := metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"}
	resource := metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: reviewUID(t), Kind: kind, Resource: resource, RequestKind: &kind, RequestResource: &resource,
			Namespace: namespace, Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: object},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func reviewUID(t *testing.T) types.UID { return types.UID("review-of-" + t.Name()) }

// review posts the creation of a DaemonSet to berth itself, as the API server does.
func review(t *testing.T, path, namespace string, object []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	code, answer := post(t, berthClient(t, berth.CABundle), "https://"+berth.Address+path, reviewOf(t, namespace, object))
	var received admissionv1.AdmissionReview
	if err := json.Unmarshal(answer, &received); err != nil || code != http.StatusOK || received.Response == nil {
		t.Fatalf("berth answered %d: %s (%v)", code, answer, err)
	}
	if uid := reviewUID(t); received.Response.UID != uid {
		t.Errorf("berth answered request %q, not %q", received.Response.UID, uid)
	}
	return received.Response
}

func post(t *testing.T, client *http.Client, url string, body []byte) (code int, answer []byte) {
	t.Helper()
	response, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

func berthClient(t *testing.T, caBundle []byte) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caBundle)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: eventually}
}

// An API server newer than our k8s.io/api sends fields that we do not know. They are not in kube-apiserver 1.37.2 either,
// so it would drop them: the patch is applied here as the API server applies it.
func TestFieldsThatOurVersionOfTheAPIDoesNotKnowStayWhereTheyAre(t *testing.T) {
	namespace := newNamespace(t, enabled)
	const manifest = `
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: from-the-future
  futureMetadata: {a: [1, 2, {b: null}]}
spec:
  futureRollout: {strategy: Clairvoyant, budget: 12345678901234567890}
  selector:
    futureSelector: x
    matchLabels: {app: example}
    matchExpressions: [{key: tier, operator: In, values: [b, a], futureNegation: false}]
  template:
    metadata:
      labels: {app: example, tier: a}
    spec:
      futureScheduling: {preemption: Never, weights: [0.1, 1e3]}
      nodeSelector: {disk: ssd}
      affinity:
        futureAffinity: {}
        nodeAffinity:
          futureNodeAffinity: soon
          requiredDuringSchedulingIgnoredDuringExecution:
            futureMode: AnyOf
            nodeSelectorTerms:
              - futureTerm: 1
                matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64], futureFold: true}]
              - matchExpressions: [{key: kubernetes.io/os, operator: Exists}]
      containers: [{name: c, image: i, futureLimits: {tokens: 5}}]
futureStatus: {}
`
	object, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	response := review(t, mutatePath, namespace, object)
	if !response.Allowed {
		t.Fatalf("berth denied it: %v", response.Result)
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(object)
	if err != nil {
		t.Fatalf("the patch does not apply: %v\n%s", err, response.Patch)
	}

	want, got := decode(t, object), decode(t, patched)
	tier := map[string]any{"key": "tier", "operator": "In", "values": []any{"a", "b"}}
	set(t, want, map[string]any{"app": "example", "disk": "ssd"}, "spec", "template", "spec", "nodeSelector")
	for _, term := range dig(t, want, "spec", "template", "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")["nodeSelectorTerms"].([]any) {
		expressions := term.(map[string]any)["matchExpressions"].([]any)
		term.(map[string]any)["matchExpressions"] = append(expressions, tier)
	}
	set(t, want, map[string]any{
		injectedAnnotation: `{"version":2,"policies":{"own-label":{"nodeSelector":{"app":"example"},"nodeRequirements":[{"key":"tier","operator":"In","values":["a","b"]}]}}}`,
	}, "metadata", "annotations")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was sent plus what berth injects (-want), the patched object (+got):\n%s", diff)
	}
	if again := review(t, validatePath, namespace, patched); !again.Allowed {
		t.Errorf("berth denies what it made itself: %v", again.Result)
	}
}

// decode keeps numbers as they were written.
func decode(t *testing.T, object []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	var decoded map[string]any
	if err := decoder.Decode(&decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// dig finds the object at the path.
func dig(t *testing.T, object map[string]any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		child, ok := object[name].(map[string]any)
		if !ok {
			t.Fatalf("no object %s of %v", name, path)
		}
		object = child
	}
	return object
}

func set(t *testing.T, object map[string]any, value any, path ...string) {
	t.Helper()
	dig(t, object, path[:len(path)-1]...)[path[len(path)-1]] = value
}
