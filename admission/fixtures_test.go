package admission

import (
	"context"
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// tutorial is the DaemonSet of the Kubernetes tutorial, as the API server sends it.
const tutorial = `{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"name":"example-daemonset","namespace":"default"},` +
	`"spec":{"selector":{"matchLabels":{"app":"example"}},"template":{"metadata":{"labels":{"app":"example"}},` +
	`"spec":{"containers":[{"name":"example-container","image":"example-image:latest"}]}}}}`

// placed is a DaemonSet as berth leaves it.
const placed = `{"metadata":{"name":"placed","annotations":{"berth.dev/injected":"{\"version\":2,\"policies\":{\"own-label\":{\"nodeSelector\":{\"app\":\"example\"}}}}"}},` +
	`"spec":{"selector":{"matchLabels":{"app":"example"}},"template":{"metadata":{"labels":{"app":"example"}},` +
	`"spec":{"nodeSelector":{"app":"example"}}}}}`

// createReview is the review of a DaemonSet's creation.
func createReview(object string) string { return reviewOf("CREATE", object, "null") }

// updateReview is the review of a DaemonSet's change.
func updateReview(object, oldObject string) string { return reviewOf("UPDATE", object, oldObject) }

func reviewOf(operation, object, oldObject string) string {
	return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1-2-3",`+
		`"kind":{"group":"apps","version":"v1","kind":"DaemonSet"},"namespace":"default","operation":%q,`+
		`"userInfo":{"username":"alice"},"object":%s,"oldObject":%s}}`, operation, object, oldObject)
}

// ownLabels is a snapshot with one policy, which has these matchConditions and requires the labels of a DaemonSet's own pods,
// and with the namespace default.
func ownLabels(tb testing.TB, matchConditions ...v1alpha1.MatchCondition) *cluster.Snapshot {
	tb.Helper()
	policy := v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: "own-labels"}}
	policy.Spec.MatchConditions = matchConditions
	policy.Spec.NodeSelectorFrom = []v1alpha1.NodeSelectorSource{{Type: v1alpha1.NodeSelectorFromWorkloadSelector}}
	policies, failed := placement.Compile([]v1alpha1.PlacementPolicy{policy})
	program, errs := cluster.Compile(&policy)
	if len(failed)+len(errs) > 0 {
		tb.Fatal(failed, errs)
	}
	return cluster.NewSnapshot(policies, []placement.Namespace{{Name: "default"}}, &cluster.NodeIndex{}).
		WithConditions(map[string]*conditions.Program{policy.Name: program})
}

// noNamespaces asks an API server that is not there, or fails as it is told.
type noNamespaces struct{ err error }

func (n noNamespaces) Namespace(context.Context, string) (placement.Namespace, error) {
	return placement.Namespace{}, n.err
}

var errNoServer = errors.New("there is no API server")

// fixedBudget has so many bytes for each request.
type fixedBudget struct{ size, left int64 }

func (b fixedBudget) Size() int64           { return b.size }
func (b fixedBudget) Take(bytes int64) bool { return bytes <= b.left }
func (b fixedBudget) Give(int64)            {}

// typedObject is what placement reads of a DaemonSet, by the typed decoder. That one does not know of members that are new to
// it: of those beside required node affinity ours may know more.
func typedObject(ds *appsv1.DaemonSet, ours *placement.Object) *placement.Object {
	object := placement.ObjectOf(ds)
	object.Deleting = false // the review itself is asked, and only of its old object
	if _, ok := object.Annotations[lastApplied]; ok {
		object.Annotations[lastApplied] = ""
	}
	if affinity := &object.Template.Affinity; ours != nil {
		affinity.SharedAffinity = affinity.SharedAffinity || ours.Template.Affinity.SharedAffinity
		affinity.SharedNodeAffinity = affinity.SharedNodeAffinity || ours.Template.Affinity.SharedNodeAffinity
	}
	return object
}
