package reliability_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/e2e/testbed"
)

// right is what a rule allows, one by one. An empty name or namespace is any.
type right struct{ verb, group, resource, name, namespace string }

func (r right) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s.%s %s %s", r.verb, r.resource, r.group, r.name, r.namespace))
}

// allows says whether the request needs the right. A server-side apply that finds nothing needs the right to create, too,
// but in the audit log it is a patch like any other, with another answer.
func (r right) allows(asked *testbed.AuditedRequest) bool {
	resource := asked.ObjectRef.Resource
	if asked.ObjectRef.Subresource != "" {
		resource += "/" + asked.ObjectRef.Subresource
	}
	creates := r.verb == "create" && asked.Verb == "patch" && asked.ResponseStatus.Code == http.StatusCreated
	return (r.verb == asked.Verb || creates) && r.group == asked.ObjectRef.APIGroup && r.resource == resource &&
		(r.name == "" || r.name == asked.ObjectRef.Name) && (r.namespace == "" || r.namespace == asked.ObjectRef.Namespace)
}

func rightsOf(rules []rbacv1.PolicyRule, namespace string) (rights []right) {
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					for _, verb := range rule.Verbs {
						rights = append(rights, right{verb, group, resource, name, namespace})
					}
				}
			}
		}
	}
	return rights
}

// berthRights are those that deploy/berth.yaml gives berth.
func berthRights(t *testing.T) []right {
	t.Helper()
	everywhere, err := cp.Client.RbacV1().ClusterRoles().Get(t.Context(), "berth", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	atHome, err := cp.Client.RbacV1().Roles(berthNamespace).Get(t.Context(), "berth", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return append(rightsOf(everywhere.Rules, ""), rightsOf(atHome.Rules, berthNamespace)...)
}

func TestBerthHasTheRightsThatItUsesAndNoOthers(t *testing.T) {
	cluster(t)
	log := installAudited(t)
	needEveryRight(t)

	rights := berthRights(t)
	var unused []right
	eventually(t, "the use of every right", func() (bool, string) {
		requests := requestsIn(t, log)
		unused = slices.DeleteFunc(slices.Clone(rights), func(r right) bool {
			return slices.ContainsFunc(requests, func(asked testbed.AuditedRequest) bool { return r.allows(&asked) })
		})
		return len(unused) == 0, fmt.Sprintf("never used: %v", unused)
	})
	for _, asked := range requestsIn(t, log) {
		allowed := slices.ContainsFunc(rights, func(r right) bool { return r.allows(&asked) })
		if !allowed || asked.Annotations["authorization.k8s.io/decision"] != "allow" {
			t.Errorf("berth lacks the right to %s %s: %v", asked.Verb, asked.RequestURI, asked.Annotations)
		}
	}
}

// installAudited installs berth anew, one replica of it, on an API server that writes down all that it asks, until the
// test ends.
func installAudited(t *testing.T) testbed.AuditLog {
	t.Helper()
	log, err := testbed.NewAuditLog(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		restartAPIServer(t)
		apply(t, shippedManifest(t))
	})
	uninstall(t) // Nobody may be left who asks while the roles are not there.
	// API servers before 1.34 do not stream the first list: there berth lists, and then watches.
	restartAPIServer(t, append(log.APIServerFlags, "--feature-gates=WatchList=false")...)
	installAnew(t, strings.Replace(shippedManifest(t), fmt.Sprintf("replicas: %d\n", replicas), "replicas: 1\n", 1))
	eventually(t, "the replica", func() (bool, string) { return settledAt(1), podNames() })
	return log
}

func requestsIn(t *testing.T, log testbed.AuditLog) []testbed.AuditedRequest {
	t.Helper()
	requests, err := log.Requests(testbed.BerthUser)
	if err != nil {
		t.Fatal(err)
	}
	return requests
}

const (
	violating = `
apiVersion: v1
kind: Namespace
metadata: {name: all-rights}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: all-rights}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      nodeSelector: {pool: mine}
      containers: [{name: agent, image: "agent:1"}]
`
	violated = `
apiVersion: berth.dev/v1alpha1
kind: PlacementPolicy
metadata: {name: all-rights}
spec:
  matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: all-rights}}}
  matchConditions: [{name: only, expression: "object.spec.template.spec.containers[0].image.startsWith('agent:')"}]
  nodeSelector: {pool: a}
`
	goneReplica = `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: berth-gone, namespace: berth-system, labels: {berth.dev/replica: "true"}}
spec: {holderIdentity: berth-gone, leaseDurationSeconds: 1}
`
)

// needEveryRight brings berth, which has just started, to do all that it ever does.
func needEveryRight(t *testing.T) {
	t.Helper()
	namespace := enabledNamespace(t)
	awaitPlacement(t, namespace)
	// get namespaces: one that nobody has heard of.
	code, answer, err := post(t.Context(), newClient(), host.Pods()[0], review(t, "no-such-namespace", daemonSet(t)))
	if err != nil {
		t.Fatal(err)
	}
	if want := `asking for it failed: read namespace no-such-namespace: namespaces \"no-such-namespace\" not found`; code != 500 || !strings.Contains(string(answer), want) {
		t.Errorf("for an unknown namespace berth answered %d %s", code, answer)
	}

	// get daemonsets: a condition on what berth does not keep. create events: a DaemonSet that does not comply with it.
	t.Cleanup(func() {
		kubectl(t, "delete", "--ignore-not-found", "placementpolicy/all-rights", "namespace/all-rights")
	})
	apply(t, violating)
	apply(t, violated)
	awaitEvents(t, "all-rights", "PlacementViolation", "DaemonSet/agent")

	// patch events, in both APIs: the leader loses the Lease and gets it again, as when the API server is away for long.
	holdLease(t, "somebody-else")
	awaitEvents(t, berthNamespace, "LeaderElection", "Lease/berth", "Lease/berth")
	holdLease(t, "")

	// delete leases: that of a replica that is gone.
	apply(t, goneReplica)
	eventually(t, "the end of its Lease", func() (bool, string) {
		_, err := cp.Client.CoordinationV1().Leases(berthNamespace).Get(t.Context(), "berth-gone", metav1.GetOptions{})
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})

	// Of the Secret create, and then update; of the configurations patch.
	expectRepair(t, namespace, spoiled[0].kubectl)
	expectRepair(t, namespace, patchBundle("mutating", foreignBundle()))
	expectRepair(t, namespace, patchBundle("validating", foreignBundle()))
}

// awaitEvents waits for Events on these objects.
func awaitEvents(t *testing.T, namespace, reason string, want ...string) {
	t.Helper()
	eventually(t, "Events with reason "+reason, func() (bool, string) {
		events, err := cp.Client.EventsV1().Events(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range events.Items {
			got = append(got, events.Items[i].Regarding.Kind+"/"+events.Items[i].Regarding.Name)
		}
		return slices.Equal(want, got), cmp.Diff(want, got)
	})
}

func holdLease(t *testing.T, holder string) {
	t.Helper()
	kubectl(t, "-n", berthNamespace, "patch", "lease", "berth", "--type=merge", fmt.Sprintf(`--patch={"spec":{"holderIdentity":%q}}`, holder))
}
