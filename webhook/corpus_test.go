package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// badInput is a request that no API server sends, and the answer that it must get.
type badInput struct {
	name        string
	method      string
	contentType string
	encoding    string
	body        string
	chunked     bool
	code        int
	// uid says that the request's UID can be known.
	uid bool
}

// bad is a POST of JSON that is answered 400.
func bad(name, body string, uid bool) badInput {
	return badInput{name: name, method: http.MethodPost, contentType: "application/json", body: body, code: http.StatusBadRequest, uid: uid}
}

func badInputs(tb testing.TB) []badInput {
	tb.Helper()
	inputs := wrongHeaders()
	inputs = append(inputs, wrongSizes()...)
	inputs = append(inputs, truncated()...)
	inputs = append(inputs, wrongText()...)
	inputs = append(inputs, wrongReviews(tb)...)
	return append(inputs, wrongObjects()...)
}

func wrongHeaders() []badInput {
	good := createReview(tutorial)
	var inputs []badInput
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post"} {
		inputs = append(inputs, badInput{
			name: "method " + method, method: method, contentType: "application/json", body: good, code: http.StatusMethodNotAllowed,
		})
	}
	for _, contentType := range []string{
		"", "text/plain", "application/yaml", "application/jsonx", "application/json-patch+json", "application/vnd.kubernetes.protobuf",
		"application", "application/json; charset", "application/json, text/plain", "multipart/form-data; boundary=x", "*/*", "json", ";",
	} {
		inputs = append(inputs, badInput{
			name: "content type " + contentType, method: http.MethodPost, contentType: contentType, body: good,
			code: http.StatusUnsupportedMediaType,
		})
	}
	for _, encoding := range []string{"gzip", "br", "x"} {
		inputs = append(inputs, badInput{
			name: "content encoding " + encoding, method: http.MethodPost, contentType: "application/json", encoding: encoding, body: good,
			code: http.StatusUnsupportedMediaType,
		})
	}
	return inputs
}

func wrongSizes() []badInput {
	large := func(size int) string { return createReview(`{"metadata":{"x":"` + strings.Repeat("x", size) + `"}}`) }
	return []badInput{
		{name: "17 MiB", method: http.MethodPost, contentType: "application/json", body: strings.Repeat(" ", 17<<20), code: http.StatusRequestEntityTooLarge},
		{name: "17 MiB in chunks", method: http.MethodPost, contentType: "application/json", body: strings.Repeat(" ", 17<<20), chunked: true, code: http.StatusRequestEntityTooLarge},
		bad("15 MiB of nothing", large(15<<20), true),
		bad("15 MiB of white space", strings.Repeat(" ", 15<<20), false),
		bad("15 MiB of brackets", strings.Repeat("[", 15<<20), false),
	}
}

// truncated cuts a good review short, everywhere but for its last newline.
func truncated() []badInput {
	good := strings.TrimSpace(createReview(tutorial))
	known := strings.Index(good, testUID) + len(testUID) + len(`"`)
	var inputs []badInput
	for end := 0; end < len(good); end += 5 {
		inputs = append(inputs, bad(fmt.Sprintf("cut at byte %d", end), good[:end], end >= known))
	}
	return append(inputs, bad("cut at the last byte", good[:len(good)-1], true))
}

func wrongText() []badInput {
	good := strings.TrimSpace(createReview(tutorial))
	// in puts text where the object's spec.new would be, behind the UID.
	in := func(text string) string { return strings.Replace(good, `"spec":{`, `"spec":{"new":`+text+`,`, 1) }
	inputs := []badInput{
		bad("null", "null", false), bad("true", "true", false), bad("a number", "17", false), bad("a string", `"review"`, false),
		bad("a list", "[]", false), bad("a list of reviews", "["+good+"]", false), bad("YAML", "kind: AdmissionReview\n", false),
		bad("XML", "<AdmissionReview/>", false), bad("a form", "a=b&c=d", false), bad("protobuf", "k8s\x00\n\x0c\n\x02v1", false),
		bad("NUL", "\x00", false), bad("many NULs", strings.Repeat("\x00", 4096), false), bad("a byte order mark", "\ufeff"+good, false),
		bad("UTF-16", strings.Join(strings.Split(good, ""), "\x00"), false), bad("two reviews", good+good, true),
		bad("text behind", good+"x", true), bad("NUL behind", good+"\x00", true), bad("a bracket behind", good+"}", true),
		bad("a comma behind", good+",", true), bad("single quotes", strings.ReplaceAll(good, `"`, `'`), false),
		bad("a comment", "/* "+good, false), bad("deep lists", strings.Repeat("[", 100_000), false),
		bad("deep objects", strings.Repeat(`{"request":`, 100_000), false),
		bad("a key twice: kind", strings.Replace(good, `{`, `{"kind":"AdmissionReview",`, 1), true),
		bad("a key twice: uid", strings.Replace(good, `"kind":{"group"`, `"uid":"x","kind":{"group"`, 1), true),
		bad("a key twice: spec", strings.Replace(good, `"spec":`, `"spec":{},"spec":`, 1), true),
		bad("a key twice: template", strings.Replace(good, `"template":`, `"template":null,"template":`, 1), true),
		bad("a key twice: request", strings.Replace(good, `"request":`, `"request":{},"request":`, 1), true),
		bad("a label twice", strings.Replace(good, `"app":"example"}},"spec"`, `"app":"example","app":"x"}},"spec"`, 1), true),
	}
	for _, text := range []string{
		"\x00", "\"\x00\"", "\"\n\"", "\"\t\"", "\"\x1f\"", `"\x"`, `"\u12"`, `"\u123g"`, "01", "-", "1.", "+1", ".5", "1e", "0x10", "NaN", "Infinity",
		"tru", "nulll", "None", "'x'", "[1,]", "[,]", "{,}", `{"a"}`, `{"a":1,}`, `{a:1}`, "[1}", `{"a":1]`, "[1 2]", "//x\n1",
		"\"\xff\"", "\"\xc3\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\x80\"",
		strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
		strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001),
	} {
		inputs = append(inputs, bad(fmt.Sprintf("in the object %.24q", text), in(text), true))
	}
	return inputs
}

func wrongReviews(tb testing.TB) []badInput {
	tb.Helper()
	good := createReview(tutorial)
	var inputs []badInput
	swap := func(was, is string, uid bool) {
		changed := strings.Replace(good, was, is, 1)
		if changed == good {
			tb.Fatalf("the review has no %s", was)
		}
		inputs = append(inputs, bad(fmt.Sprintf("%s for %s", is, was), changed, uid))
	}
	for _, is := range []string{`"kind":"AdmissionResponse"`, `"kind":""`, `"kind":null`, `"kind":3`, `"kind":["AdmissionReview"]`, `"Kind":"AdmissionReview"`, `"kind":"admissionreview"`} {
		swap(`"kind":"AdmissionReview"`, is, true)
	}
	for _, is := range []string{`"admission.k8s.io/v1beta1"`, `"v1"`, `""`, `null`, `{}`, `1`} {
		swap(`"admission.k8s.io/v1"`, is, true)
	}
	for _, is := range []string{`"request":null,"x":`, `"request":[],"x":`, `"request":"x","x":`, `"Request":`, `"response":`} {
		swap(`"request":`, is, false)
	}
	quoted := `"` + testUID + `"`
	for _, is := range []string{`""`, `null`, `3`, `{}`, `[` + quoted + `]`} {
		swap(quoted, is, false)
	}
	gvk := `{"group":"apps","version":"v1","kind":"DaemonSet"}`
	for _, is := range []string{
		`{"group":"apps","version":"v1","kind":"Deployment"}`, `{"group":"apps","version":"v1beta2","kind":"DaemonSet"}`,
		`{"group":"extensions","version":"v1beta1","kind":"DaemonSet"}`, `{"group":"","version":"v1","kind":"Pod"}`,
		`{"group":"apps","version":"v1","kind":"daemonset"}`, `{"version":"v1","kind":"DaemonSet"}`, `{"group":"apps","kind":"DaemonSet"}`,
		`{"group":"apps","version":"v1"}`, `{}`, `null`, `"apps/v1 DaemonSet"`, `[]`, `{"group":1,"version":"v1","kind":"DaemonSet"}`,
	} {
		swap(gvk, is, true)
	}
	for _, is := range []string{`"PATCH"`, `"create"`, `""`, `null`, `1`, `["CREATE"]`, `"*"`} {
		swap(`"CREATE"`, is, true)
	}
	for _, is := range []string{`"namespace":""`, `"namespace":null`, `"namespace":1`, `"namespace":{}`, `"Namespace":"default"`} {
		swap(`"namespace":"default","operation"`, is+`,"operation"`, true)
	}
	swap(`"operation":"CREATE"`, `"operation":"CREATE","subResource":1`, true)
	swap(`"object":`, `"Object":`, true)
	update := updateReview(placed, tutorial)
	return append(inputs,
		bad("an update without its old object", updateReview(placed, "null"), true),
		bad("an update whose old object is a list", updateReview(placed, "[]"), true),
		bad("an update whose old object is empty", updateReview(placed, "{}"), true),
		bad("an update with the old object twice", strings.Replace(update, `"oldObject":`, `"oldObject":{},"oldObject":`, 1), true))
}

func wrongObjects() []badInput {
	var inputs []badInput
	for _, object := range []string{
		`null`, `[]`, `""`, `1`, `{}`, `{"metadata":{}}`, `{"spec":{}}`, `{"metadata":{},"spec":null}`, `{"metadata":{},"spec":[]}`,
		`{"metadata":{},"spec":{}}`, `{"metadata":{},"spec":{"template":null}}`, `{"metadata":{},"spec":{"template":"x"}}`,
		`{"metadata":{},"spec":{"template":{}}}`, `{"metadata":{},"spec":{"template":{"spec":false}}}`, `{"metadata":[],"spec":{"template":{"spec":{}}}}`,
	} {
		inputs = append(inputs, bad("the object "+object, createReview(object), true))
	}
	for _, metadata := range []string{
		`"name":1`, `"namespace":{}`, `"labels":[]`, `"labels":"a=b"`, `"labels":{"a":1}`, `"labels":{"a":{"b":"c"}}`, `"annotations":true`,
		`"annotations":{"a":[]}`, `"annotations":{"berth.dev/injected":{}}`,
	} {
		inputs = append(inputs, bad("metadata with "+metadata, createReview(`{"metadata":{`+metadata+`},"spec":{"template":{"spec":{}}}}`), true))
	}
	for _, spec := range []string{
		`"selector":"app=example"`, `"selector":{"matchLabels":[]}`, `"selector":{"matchLabels":{"a":true}}`, `"selector":{"matchExpressions":{}}`,
		`"selector":{"matchExpressions":[1]}`, `"selector":{"matchExpressions":[{"key":1}]}`, `"selector":{"matchExpressions":[{"values":"x"}]}`,
	} {
		inputs = append(inputs, bad("spec with "+spec, createReview(`{"metadata":{},"spec":{`+spec+`,"template":{"spec":{}}}}`), true))
	}
	for _, pod := range []string{
		`"nodeName":["n"]`, `"nodeSelector":[]`, `"nodeSelector":{"a":1}`, `"affinity":"x"`, `"affinity":{"nodeAffinity":[]}`,
		`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[]}}`,
		`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":{}}}}`,
		`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":7}]}}}`,
	} {
		inputs = append(inputs, bad("pod spec with "+pod, createReview(`{"metadata":{},"spec":{"template":{"spec":{`+pod+`}}}}`), true))
	}
	return inputs
}

func (b badInput) request(tb testing.TB, url string) *http.Request {
	tb.Helper()
	body := io.Reader(strings.NewReader(b.body))
	if b.chunked {
		body = io.MultiReader(body) // whose length net/http cannot know
	}
	request, err := http.NewRequestWithContext(tb.Context(), b.method, url, body)
	if err != nil {
		tb.Fatal(err)
	}
	if b.contentType != "" {
		request.Header.Set("Content-Type", b.contentType)
	}
	if b.encoding != "" {
		request.Header.Set("Content-Encoding", b.encoding)
	}
	return request
}

func TestBadInputIsAnsweredAsWhatItIsAndTheNextRequestIsServed(t *testing.T) {
	inputs := badInputs(t)
	if len(inputs) < 200 {
		t.Fatalf("the corpus has shrunk to %d inputs", len(inputs))
	}
	t.Logf("%d inputs", len(inputs))
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	panics := counted(t, "berth_admission_requests_total", "reason", "panic")
	for _, path := range []string{MutatePath, ValidatePath} {
		good := createReview(placed)
		want := site.post(t, path, good).body
		for _, input := range inputs {
			got := site.do(t, input.request(t, site.url+path))
			checkRefusal(t, path+" "+input.name, input, got)
			if got := site.post(t, path, good); got.code != http.StatusOK || !bytes.Equal(got.body, want) {
				t.Fatalf("after %s %s, a good request gets %d: %s", path, input.name, got.code, got.body)
			}
		}
	}
	if now := counted(t, "berth_admission_requests_total", "reason", "panic"); now != panics {
		t.Errorf("%v requests ended in a panic", now-panics)
	}
}

// checkRefusal checks the HTTP status, and that the body is the same as a metav1.Status, with the UID where it is known.
func checkRefusal(t *testing.T, name string, input badInput, got reply) {
	t.Helper()
	type essence struct {
		Code        int
		UID         string
		Allow       bool
		ContentType string
	}
	want := essence{Code: input.code, Allow: input.code == http.StatusMethodNotAllowed, ContentType: "application/json"}
	if input.uid {
		want.UID = testUID
	}
	is := essence{Code: got.code, Allow: got.header.Get("Allow") == "POST", ContentType: got.header.Get("Content-Type")}
	if input.method == http.MethodHead {
		if diff := cmp.Diff(want, is); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		return
	}
	var status metav1.Status
	if err := json.Unmarshal(got.body, &status); err != nil || status.Kind != "Status" || int(status.Code) != got.code || status.Message == "" {
		t.Errorf("%s: %d is not answered with its metav1.Status: %s", name, got.code, got.body)
		return
	}
	if status.Details != nil {
		is.UID = string(status.Details.UID)
	}
	if diff := cmp.Diff(want, is); diff != "" {
		t.Errorf("%s (-want +got):\n%s%s", name, diff, got.body)
	}
}
