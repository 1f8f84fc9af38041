package manifests_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/manifests"
)

func read(t *testing.T, content string) *manifests.Set {
	t.Helper()
	var set manifests.Set
	if err := set.ReadPath("-", strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return &set
}

const rendered = `---
# Source: agent/templates/daemonset.yaml
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
spec:
  template:
    spec:
      nodeSelector:
        example.com/pool: a
---
# only a comment
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: n-1}}
- apiVersion: apps/v1beta2
  kind: DaemonSet
  metadata: {name: old}
  spec: {template: {spec: {containers: [{name: a, imagge: b}]}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: demo}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: other}}
---
{"apiVersion": "berth.dev/v1alpha1", "kind": "PlacementPolicyList", "items": [{"metadata": {"name": "pool"}, "spec": {"nodeSelector": {"pool": "a"}}}]}
`

func TestEveryDocumentAndEveryItemOfAListIsReadWithItsPlace(t *testing.T) {
	set := read(t, rendered)
	type found struct {
		DaemonSets, Problems              []string
		Policies, Namespaces, Nodes, Rest int
	}
	got := found{Policies: len(set.Policies), Namespaces: len(set.Namespaces), Nodes: len(set.Nodes), Rest: set.Others}
	for _, ds := range set.DaemonSets {
		place := ds.Field("")
		got.DaemonSets = append(got.DaemonSets, ds.Object.Name+" at "+place.String()+" from "+place.Source)
	}
	for _, p := range set.Problems {
		got.Problems = append(got.Problems, p.String()+" "+p.Object+" "+string(p.Rule)+": "+p.Message)
	}
	want := found{
		DaemonSets: []string{"agent at (stdin):3:1 from agent/templates/daemonset.yaml", "old at (stdin):19:3 from "},
		Problems: []string{
			"(stdin):19:3 DaemonSet/old old-api-version: apps/v1beta2 is not served any more: use apps/v1, as which it is checked here",
			`(stdin):22:51 DaemonSet/old unknown-field: unknown field "spec.template.spec.containers[0].imagge": the API server would drop it, and kubectl refuses it`,
		},
		Policies: 1, Namespaces: 1, Nodes: 1, Rest: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	for path, want := range map[string]string{
		"spec.template.spec.nodeSelector[example.com/pool]": "(stdin):11:9",
		"spec.template.spec.nodeSelector[pool]":             "(stdin):10:7",
		"spec.template.spec.affinity.nodeAffinity":          "(stdin):9:5",
		"metadata.namespace":                                "(stdin):5:1",
	} {
		if got := set.DaemonSets[0].Field(path).String(); got != want {
			t.Errorf("%s is at %s, not %s", path, got, want)
		}
	}
}

func TestWhatCannotBeReadNamesTheFileAndTheLine(t *testing.T) {
	for content, want := range map[string]string{
		"apiVersion: v1\nkind: Pod\n---\n\nc: [\n":         "(stdin): yaml: line 5: did not find expected node content",
		"apiVersion: v1\nkind: Pod\n---\na: 1\nb: 2\na: 3": `(stdin): yaml: unmarshal errors: line 6: key "a" already set in map`,
		"# nothing\n---\nkind: DaemonSet":                  "(stdin):3:1: not an object of the Kubernetes API: it has no apiVersion or no kind",
		"- a":                                              "(stdin):1:1: not an object of the Kubernetes API: must be an object, and is a list",
		"apiVersion: v1\nkind: List\nitems: [1]":           "(stdin):3:9: not an object of the Kubernetes API: must be an object, and is a number",
		"apiVersion: v1\nkind: List\nitems: {}":            "(stdin):1:1: not an object of the Kubernetes API: items: must be a list, and is an object",
		"apiVersion: v1\nkind: NodeList\nitems: [null]":    "(stdin):3:9: not an object of the Kubernetes API: it has no apiVersion or no kind",
		"a: 1\nb: 2\nc: {\n d: 1\n":                        "(stdin): yaml: line 3: did not find expected ',' or '}'",
		"a: 1\nb: x: y":                                    "(stdin): yaml: line 2: mapping values are not allowed in this context",
		"# a\n---\n{{ .Values.x }}: 1":                     "(stdin): yaml: line 3: a key is no text: if this is a Helm template, render it: helm template … | berth … -f -",
		"a: 1\nb: *c":                                      "(stdin): yaml: line 2: unknown anchor 'c' referenced",
		"a: 1\n{b: 2}":                                     "(stdin): yaml: line 2: ",
		`{"apiVersion": "v1"} {`:                           "(stdin): yaml: line 1: did not find expected <document start>",
	} {
		var set manifests.Set
		if err := set.ReadPath("-", strings.NewReader(content)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
}

// All the ways of writing several documents: as kubectl reads them, and as YAML and jq have them besides.
func TestNoDocumentIsLost(t *testing.T) {
	const a, b = "{apiVersion: v1, kind: Node, metadata: {name: a}}", "{apiVersion: v1, kind: Node, metadata: {name: b}}"
	const jsonA, jsonB = `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}`, `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "b"}}`
	encoded := func(order binary.AppendByteOrder, text string) string {
		bytes := order.AppendUint16(nil, 0xfeff)
		for _, unit := range utf16.Encode([]rune(text)) {
			bytes = order.AppendUint16(bytes, unit)
		}
		return string(bytes)
	}
	for name, content := range map[string]string{
		"---":                         a + "\n---\n" + b,
		"--- first":                   "---\n" + a + "\n--- # the other\n" + b,
		"--- and more":                "--- " + a + "\n---\t" + b,
		"...":                         a + "\n...\n" + b,
		"... and ---":                 a + "\n...\n---\n" + b,
		"Windows":                     a + "\r\n---\r\n" + b + "\r\n",
		"one JSON after another":      jsonA + "\n" + jsonB,
		"JSON, in one line":           jsonA + jsonB,
		"JSON, then YAML":             jsonA + "\n---\n" + b,
		"a byte order mark":           "\ufeff" + a + "\n---\n" + b,
		"UTF-16 of PowerShell":        encoded(binary.LittleEndian, a+"\r\n---\r\n"+b),
		"UTF-16, the other order":     encoded(binary.BigEndian, a+"\n---\n"+b),
		"a list with its items first": "items:\n- " + a + "\n- " + b + "\nkind: List\napiVersion: v1",
		"a list of a kind, with one that says it": "kind: NodeList\napiVersion: v1\nitems: [{metadata: {name: a}}, {apiVersion: v1, metadata: {name: b}}]",
	} {
		set := read(t, content)
		var names []string
		for _, node := range set.Nodes {
			names = append(names, node.Name)
		}
		if !slices.Equal(names, []string{"a", "b"}) || len(set.Problems) > 0 {
			t.Errorf("%s: read %v, problems %v", name, names, set.Problems)
		}
	}
}

// JSON has escapes that YAML's parser does not know.
func TestJSONIsReadAsJSON(t *testing.T) {
	set := read(t, "{\n\"apiVersion\": \"apps\\/v1\", \"kind\": \"DaemonSet\",\n\"metadata\": {\"name\": \"a\", \"annotations\": {\"x\": \"\\ud83d\\ude00 \\\\/\"}},\n\"spec\": {\"template\": {\"spec\": {\"no\": 1}}}}\n")
	if len(set.DaemonSets) != 1 || set.DaemonSets[0].Object.Annotations["x"] != "\U0001F600 \\/" {
		t.Fatalf("read %v, problems %v", set.DaemonSets, set.Problems)
	}
	if len(set.Problems) != 1 || set.Problems[0].String() != "(stdin):4:32" {
		t.Errorf("problems %v", set.Problems)
	}
}

func TestOfTwoPoliciesOfOneNameTheLastCounts(t *testing.T) {
	const policy = "apiVersion: berth.dev/v1alpha1\nkind: PlacementPolicy\nmetadata: {name: pool}\nspec: {nodeSelector: {pool: VALUE}}\n---\n"
	set := read(t, strings.Replace(policy, "VALUE", "a", 1)+strings.Replace(policy, "VALUE", "b", 1))
	if len(set.Policies) != 1 || set.Policies[0].Object.Spec.NodeSelector["pool"] != "b" ||
		len(set.Problems) != 1 || set.Problems[0].Message != "there is another one of this name at (stdin):3:12: only this one counts" {
		t.Errorf("policies %v, problems %v", set.Policies, set.Problems)
	}
}

func TestAFolderIsReadWithTheFoldersInIt(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{
		"a.yaml": "{apiVersion: v1, kind: Node, metadata: {name: a}}", "below/b.json": `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "b"}}`,
		"README.md": "not: [yaml", ".hidden/c.yaml": "not: [yaml", ".d.yaml": "not: [yaml",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var set manifests.Set
	if err := set.ReadPath(folder, nil); err != nil || len(set.Nodes) != 2 {
		t.Errorf("read %d nodes: %v", len(set.Nodes), err)
	}
	// Again, and by other names: a ConfigMap in a pod has each of its files twice.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(folder, "a.yaml"), folder + "/below", link} {
		if err := set.ReadPath(path, nil); err != nil || len(set.Nodes) != 2 {
			t.Errorf("%s: read %d nodes: %v", path, len(set.Nodes), err)
		}
	}
	var linked manifests.Set
	if err := linked.ReadPath(link, nil); err != nil || len(linked.Nodes) != 2 {
		t.Errorf("read %d nodes behind a link: %v", len(linked.Nodes), err)
	}
	if err := set.ReadPath(filepath.Join(folder, "nothing"), nil); err == nil {
		t.Error("a file that is not there is read")
	}
}

func TestAPolicyThatDoesNotCompileIsAProblemAtItsField(t *testing.T) {
	set := read(t, `apiVersion: berth.dev/v1alpha1
kind: PlacementPolicy
metadata: {name: pool}
spec:
  nodeSelector: {pool: a}
  matchConditions:
  - name: only
    expression: objekt == null
`)
	snapshot := set.Snapshot(t.Context())
	if len(set.Problems) != 1 || set.Problems[0].Rule != manifests.RuleInvalidPolicy || set.Problems[0].String() != "(stdin):8:5" {
		t.Errorf("problems %v", set.Problems)
	}
	if snapshot.Policies().Len() != 1 {
		t.Error("the policy is not in the snapshot: its failurePolicy has no say")
	}
}

// A pod of a cluster says where it runs; one in a chart, and what is wrong with pods, is nothing to berth.
func TestPodsOfAClusterAreReadBesideTheOthers(t *testing.T) {
	set := read(t, `
{apiVersion: v1, kind: PodList, items: [{metadata: {name: a, uid: x}, spec: {nodeName: n-1, fieldOfTomorrow: 1}}]}
---
{apiVersion: v1, kind: Pod, metadata: {name: of-a-chart}}
---
{apiVersion: v1, kind: Pod, metadata: {name: broken, uid: y}, spec: 1}
`)
	if len(set.Pods) != 1 || set.Pods[0].Spec.NodeName != "n-1" || set.Others != 3 || len(set.Problems) > 0 {
		t.Errorf("%d pods, %d others, problems %v", len(set.Pods), set.Others, set.Problems)
	}
}

// Whoever dumps a cluster has documents of many MB: twice as long is twice the work.
func TestWhatIsReadOfALongDocumentGrowsWithItsLength(t *testing.T) {
	allocated := func(lines int) uint64 {
		content := "kind: List\napiVersion: v1\nitems:\n- kind: ConfigMap\n  apiVersion: v1\n  metadata:\n    name: long\n  data:\n    text: |\n" +
			strings.Repeat("      one line of a file that somebody has put into a ConfigMap\n", lines)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		read(t, content)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	short, long := allocated(2_000), allocated(20_000)
	if long > 15*short {
		t.Errorf("%d bytes are allocated for 2,000 lines, and %d for 20,000", short, long)
	}
}
