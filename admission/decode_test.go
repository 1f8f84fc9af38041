package admission

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/json"

	"berth.dev/berth/placement"
)

// decodeObject decodes a DaemonSet by way of a review of its creation.
func decodeObject(object string) (*placement.Object, error) {
	var r Review
	if err := r.Locate([]byte(createReview(object))); err != nil {
		return nil, err
	}
	if _, err := r.Request(); err != nil {
		return nil, err
	}
	decoded, err := r.object(partObject, nil)
	if err != nil {
		return nil, err
	}
	return decoded, nil
}

func TestADaemonSetDecodesToWhatTheTypedDecoderReadsOfIt(t *testing.T) {
	pod := func(fields string) string {
		return `{"metadata":{},"spec":{"template":{"spec":{` + fields + `}}}}`
	}
	for name, object := range map[string]string{
		"the tutorial":              tutorial,
		"placed":                    placed,
		"white space":               strings.NewReplacer(`,"`, " ,\n\t\"", `":`, "\" :\r\n ", `{`, "{ ", `}`, " }").Replace(tutorial),
		"nulls":                     `{"metadata":{"name":null,"labels":null,"annotations":null,"deletionTimestamp":null},"spec":{"selector":null,"template":{"metadata":null,"spec":{"affinity":null,"nodeSelector":null,"tolerations":null,"nodeName":null}}}}`,
		"empty objects":             `{"metadata":{"labels":{},"annotations":{}},"spec":{"selector":{},"template":{"metadata":{"labels":{}},"spec":{"affinity":{},"nodeSelector":{},"tolerations":[]}}}}`,
		"empty selector maps":       `{"metadata":{},"spec":{"selector":{"matchLabels":{},"matchExpressions":[]},"template":{"spec":{}}}}`,
		"expressions":               `{"metadata":{},"spec":{"selector":{"matchExpressions":[{"key":"a","operator":"In","values":["b","c"]},{"key":"d","operator":"Exists"}]},"template":{"spec":{}}}}`,
		"a pod affinity only":       pod(`"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[]}}`),
		"an empty node affinity":    pod(`"affinity":{"nodeAffinity":{}}`),
		"a node affinity":           pod(`"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"k","operator":"NotIn","values":["v"]}]},{}]}}}`),
		"tolerations":               pod(`"tolerations":[{"operator":"Exists"},{"key":"k","operator":"Equal","value":"v","effect":"NoExecute","tolerationSeconds":30}]`),
		"a node name":               pod(`"nodeName":"n-1"`),
		"a null label":              `{"metadata":{"labels":{"a":null}},"spec":{"template":{"spec":{}}}}`,
		"escapes":                   `{"metadata":{"labels":{"\u0061\/b":"\ud83d\ude00\n\"\\\b\f\r\t\u00e9","x":"\ud800","y":"\ud800\u0041","z":"\udc00\ud800"}},"spec":{"template":{"spec":{}}}}`,
		"an escaped field name":     `{"metad\u0061ta":{},"spec":{"template":{"spec":{"node\u004eame":"n-1"}}}}`,
		"another case":              `{"metadata":{},"Metadata":{"name":"no"},"spec":{"Selector":{},"template":{"spec":{"NodeName":"no"}}}}`,
		"unknown fields":            `{"metadata":{"new":[1,-0,1.5e+3,true,false,null,{"a":[]}]},"spec":{"newer":{"deep":[[[]]]},"template":{"spec":{}}},"newest":"x"}`,
		"unknown fields twice":      `{"metadata":{},"new":1,"new":2,"spec":{"template":{"spec":{"x":1,"x":1}}}}`,
		"a deletion":                `{"metadata":{"deletionTimestamp":"2026-11-23T14:00:00Z"},"spec":{"template":{"spec":{}}}}`,
		"an injected annotation":    `{"metadata":{"annotations":{"berth.dev/injected":"{\"nodeSelector\":{}}","\u0062erth.dev/x":"y","kubectl.kubernetes.io/last-applied-configuration":"{\"a\":1}\n"}},"spec":{"template":{"spec":{}}}}`,
		"no UTF-8 but well escaped": `{"metadata":{"name":"\uffff\u0000"},"spec":{"template":{"spec":{}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeObject(object)
			if err != nil {
				t.Fatal(err)
			}
			var typed appsv1.DaemonSet
			if err := json.UnmarshalCaseSensitivePreserveInts([]byte(object), &typed); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(typedObject(&typed, got), got); diff != "" {
				t.Errorf("typed decode (-) and ours (+):\n%s", diff)
			}
		})
	}
}

func TestAnObjectThatNoPatchCouldApplyToIsRefusedByFieldPath(t *testing.T) {
	for object, want := range map[string]string{
		`null`:                                   "request.object: Required value: must be an object",
		`[]`:                                     "request.object: Invalid value: must be an object",
		`{}`:                                     "request.object.metadata: Required value: must be an object",
		`{"metadata":3}`:                         "request.object.metadata: Invalid value: must be an object",
		`{"metadata":{}}`:                        "request.object.spec: Required value: must be an object",
		`{"metadata":{},"spec":"x"}`:             "request.object.spec: Invalid value: must be an object",
		`{"metadata":{},"spec":{}}`:              "request.object.spec.template: Required value: must be an object",
		`{"metadata":{},"spec":{"template":[]}}`: "request.object.spec.template: Invalid value: must be an object",
		`{"metadata":{},"spec":{"template":{"spec":null}}}`:                              "request.object.spec.template.spec: Required value: must be an object",
		`{"metadata":{},"spec":{"template":{"spec":7}}}`:                                 "request.object.spec.template.spec: Invalid value: must be an object",
		`{"metadata":{"name":3},"spec":{"template":{"spec":{}}}}`:                        "request.object.metadata.name: Invalid value: must be a string",
		`{"metadata":{"labels":[]},"spec":{"template":{"spec":{}}}}`:                     "request.object.metadata.labels: Invalid value: must be an object",
		`{"metadata":{"labels":{"a":1}},"spec":{"template":{"spec":{}}}}`:                "request.object.metadata.labels[a]: Invalid value: must be a string",
		`{"metadata":{"annotations":{"a":{}}},"spec":{"template":{"spec":{}}}}`:          "request.object.metadata.annotations[a]: Invalid value: must be a string",
		`{"metadata":{},"spec":{"selector":"x","template":{"spec":{}}}}`:                 "request.object.spec.selector: Invalid value: must be an object",
		`{"metadata":{},"spec":{"template":{"metadata":1,"spec":{}}}}`:                   "request.object.spec.template.metadata: Invalid value: must be an object",
		`{"metadata":{},"spec":{"template":{"spec":{"affinity":[]}}}}`:                   "request.object.spec.template.spec.affinity: Invalid value: must be an object",
		`{"metadata":{},"spec":{"template":{"spec":{"nodeSelector":"a=b"}}}}`:            "request.object.spec.template.spec.nodeSelector: Invalid value: must be an object",
		`{"metadata":{},"metadata":{},"spec":{"template":{"spec":{}}}}`:                  "request.object.metadata: Invalid value: the key is there twice",
		`{"metadata":{"labels":{"a":"b","\u0061":"c"}},"spec":{"template":{"spec":{}}}}`: "request.object.metadata.labels[a]: Invalid value: the key is there twice",
		`{"metadata":{},"spec":{"selector":{"matchExpressions":{}},"template":{"spec":{}}}}`: "request.object.spec.selector.matchExpressions: Invalid value: " +
			"json: cannot unmarshal object into Go value of type []v1.LabelSelectorRequirement",
		`{"metadata":{},"spec":{"selector":{"matchExpressions":[{"key":"a","key":"b"}]},"template":{"spec":{}}}}`: "request.object.spec.selector.matchExpressions: " +
			`Invalid value: duplicate field "[0].key"`,
	} {
		if _, err := decodeObject(object); err == nil || err.Error() != want {
			t.Errorf("%s\nwant %s\ngot  %v", object, want, err)
		}
	}
}

func TestTheScannerAcceptsWhatJSONIsAndNothingElse(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	for _, value := range []string{
		`0`, `-0`, `10`, `-1.5`, `1e5`, `1E+5`, `1.25e-07`, `true`, `false`, `null`, `""`, `"a"`, `"1234567"`, `"12345678"`, `"123456789"`,
		`"\u12aF\"\\\/\b\f\n\r\t"`, `"é€😀"`, `[]`, `[ ]`, `{}`, `{ }`, `[1,2]`, `[1 , 2 ]`, `{"a":1,"a":2}`, `{"":{"":[]}}`,
		`[[],{},[{}],"",0]`, nested(maxDepth - 1),
	} {
		if err := new(Review).Locate([]byte(`{"x":` + value + `}`)); err != nil {
			t.Errorf("%.40s is JSON: %v", value, err)
		}
	}
	for _, value := range []string{
		``, `+1`, `01`, `-`, `-01`, `1.`, `.5`, `1e`, `1e+`, `1.e5`, `0x1`, `1_000`, `NaN`, `Infinity`, `tru`, `True`, `nul`, `undefined`,
		`"`, `"a`, `'a'`, "\"\x00\"", "\"\n\"", "\"1234567\x1f\"", `"\x"`, `"\u12g4"`, `"\u123"`, `"\`, "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
		`[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `[1}`, `{`, `}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{1:1}`, `{"a" 1}`,
		`{"a":1]`, `{"a":1 "b":2}`, `[[]`, "\u00a01", "\ufeff1", "/**/1", nested(maxDepth), strings.Repeat("[", 1_000_000), strings.Repeat(`{"":`, 1_000_000),
	} {
		if err := new(Review).Locate([]byte(`{"x":` + value + `}`)); err == nil {
			t.Errorf("%.40q is no JSON", value)
		}
	}
}

// FuzzDecode holds the decoder to being total, to the syntax that the API server's decoder accepts, and to its results.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(createReview(tutorial)))
	f.Add([]byte(updateReview(placed, tutorial)))
	f.Add([]byte(`{"request":{"object":{"metadata":{"labels":{"a\u0062":"\ud800"}}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var r Review
		err := r.Locate(body)
		var untyped map[string]any
		untypedErr := json.UnmarshalCaseSensitivePreserveInts(body, &untyped)
		if err == nil && untypedErr != nil && !strings.Contains(untypedErr.Error(), "cannot unmarshal number") {
			t.Fatalf("we accept what the API server does not: %v", untypedErr)
		}
		if syntax := (*syntaxError)(nil); errors.As(err, &syntax) && untyped != nil && untypedErr == nil && utf8.Valid(body) {
			t.Fatalf("the API server accepts what we do not: %v", err)
		}
		_ = r.rawUID()
		if err != nil {
			return
		}
		if _, err := r.Request(); err != nil {
			return
		}
		var decoded *placement.Object
		for _, root := range []part{partObject, partOldObject} {
			got, err := r.object(root, decoded)
			decoded = got
			var typed appsv1.DaemonSet
			if json.UnmarshalCaseSensitivePreserveInts(r.values[root], &typed) != nil || err != nil {
				continue
			}
			if diff := cmp.Diff(typedObject(&typed, got), got); diff != "" {
				t.Errorf("typed decode (-) and ours (+):\n%s", diff)
			}
		}
	})
}
