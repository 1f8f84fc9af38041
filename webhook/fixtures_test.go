package webhook

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// tutorial is the DaemonSet of the Kubernetes tutorial, as the API server sends it.
const tutorial = `{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"name":"example-daemonset","namespace":"default"},` +
	`"spec":{"selector":{"matchLabels":{"app":"example"}},"template":{"metadata":{"labels":{"app":"example"}},` +
	`"spec":{"containers":[{"name":"example-container","image":"example-image:latest"}]}}}}`

// placed is the tutorial's DaemonSet as berth leaves it.
const placed = `{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"name":"example-daemonset","namespace":"default",` +
	`"annotations":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"app\":\"example\"}}}}"}},` +
	`"spec":{"selector":{"matchLabels":{"app":"example"}},"template":{"metadata":{"labels":{"app":"example"}},` +
	`"spec":{"containers":[{"name":"example-container","image":"example-image:latest"}],"nodeSelector":{"app":"example"}}}}}`

const testUID = "705ab4f5-6393-11e8-b7cc-42010a800002"

// createReview is the review of a DaemonSet's creation.
func createReview(object string) string { return reviewOf("CREATE", object, "null") }

// updateReview is the review of a DaemonSet's change.
func updateReview(object, oldObject string) string { return reviewOf("UPDATE", object, oldObject) }

func reviewOf(operation, object, oldObject string) string {
	return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":%q,`+
		`"kind":{"group":"apps","version":"v1","kind":"DaemonSet"},`+
		`"resource":{"group":"apps","version":"v1","resource":"daemonsets"},`+
		`"requestKind":{"group":"apps","version":"v1","kind":"DaemonSet"},`+
		`"requestResource":{"group":"apps","version":"v1","resource":"daemonsets"},`+
		`"name":"example-daemonset","namespace":"default","operation":%q,`+
		`"userInfo":{"username":"alice","groups":["system:authenticated"]},`+
		`"object":%s,"oldObject":%s,"dryRun":false,"options":{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}}}`+"\n",
		testUID, operation, object, oldObject)
}

// ownLabel is the default policy.
const ownLabel = `
metadata: {name: own-label}
spec:
  matchConstraints: {namespaceSelector: {matchLabels: {berth.dev/placement: enabled}}}
  nodeSelectorFrom: [{type: WorkloadSelector}]
`

// fixedFacts are facts that do not change. Namespaces in live are known to the API server only.
type fixedFacts struct {
	snapshot *cluster.Snapshot
	live     map[string]placement.Namespace
}

func (f *fixedFacts) Snapshot() *cluster.Snapshot { return f.snapshot }

func (f *fixedFacts) Namespace(ctx context.Context, name string) (placement.Namespace, error) {
	if err := ctx.Err(); err != nil {
		return placement.Namespace{}, err
	}
	namespace, ok := f.live[name]
	if !ok {
		return namespace, fmt.Errorf("namespaces %q not found", name)
	}
	return namespace, nil
}

// newFacts knows these policies; the namespaces default and young, which asked for placement, the latter only when asked
// for live, and other, which did not; and three nodes, of which two are labelled app=example and one like the pods of shipped.
func newFacts(tb testing.TB, policies ...string) *fixedFacts {
	tb.Helper()
	var parsed []v1alpha1.PlacementPolicy
	for _, text := range policies {
		var policy v1alpha1.PlacementPolicy
		if err := yaml.UnmarshalStrict([]byte(text), &policy); err != nil {
			tb.Fatal(err)
		}
		parsed = append(parsed, policy)
	}
	compiled, errs := placement.Compile(parsed)
	if len(errs) > 0 {
		tb.Fatal(errs)
	}
	enabled := map[string]string{"berth.dev/placement": "enabled"}
	nodes := (&cluster.NodeIndex{}).Apply([]cluster.NodeChange{
		{Name: "n-1", Labels: map[string]string{"app": "example"}},
		{Name: "n-2", Labels: map[string]string{"app": "example"}},
		{Name: "n-3", Labels: map[string]string{
			"kubernetes.io/os": "linux", "app.kubernetes.io/name": "log-shipper", "app.kubernetes.io/instance": "logging",
		}},
	})
	return &fixedFacts{
		snapshot: cluster.NewSnapshot(compiled, []placement.Namespace{{Name: "default", Labels: enabled}, {Name: "other"}}, nodes),
		live:     map[string]placement.Namespace{"young": {Name: "young", Labels: enabled}},
	}
}

func replaceAll(text, was, is string) string { return strings.ReplaceAll(text, was, is) }

// replaceOnce replaces the first occurrence, which there must be.
func replaceOnce(tb testing.TB, text, was, is string) string {
	tb.Helper()
	if !strings.Contains(text, was) {
		tb.Fatalf("there is no %s in %s", was, text)
	}
	return strings.Replace(text, was, is, 1)
}
