package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/e2e/testbed"
)

// right is what a rule allows, one by one. An empty name or namespace is any.
type right struct{ verb, group, resource, name, namespace string }

func (r right) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s.%s %s %s", r.verb, r.resource, r.group, r.name, r.namespace))
}

// allows says whether the request needs the right. A server-side apply that finds nothing needs the right to create, too,
// but in the audit log it is a patch like any other, with another answer.
func (r right) allows(asked *request) bool {
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

// rights are those that deploy/berth.yaml gives berth.
func (f *fleet) rights(t *testing.T) []right {
	t.Helper()
	everywhere, err := f.Client.RbacV1().ClusterRoles().Get(t.Context(), "berth", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	atHome, err := f.Client.RbacV1().Roles(berthNamespace).Get(t.Context(), "berth", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return append(rightsOf(everywhere.Rules, ""), rightsOf(atHome.Rules, berthNamespace)...)
}

func TestBerthHasTheRightsThatItUsesAndNoOthers(t *testing.T) {
	flags, log, err := auditFlags(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// API servers before 1.34 do not stream the first list: there berth lists, and then watches.
	f := &fleet{ControlPlane: startControlPlane(t, append(flags, "--feature-gates=WatchList=false")...)}
	if f.Fleet, err = f.StartFleet(t.Context(), 1, testbed.BerthOptions{Binary: berth.Binary}); err != nil {
		t.Fatal(err)
	}
	f.needEveryRight(t)

	rights := f.rights(t)
	var unused []right
	waitFor(t, "the use of every right", func() (bool, string) {
		requests := answered(t, log)
		unused = slices.DeleteFunc(slices.Clone(rights), func(r right) bool {
			return slices.ContainsFunc(requests, func(asked request) bool { return r.allows(&asked) })
		})
		return len(unused) == 0, fmt.Sprintf("never used: %v", unused)
	})
	for _, asked := range answered(t, log) {
		allowed := slices.ContainsFunc(rights, func(r right) bool { return r.allows(&asked) })
		if !allowed || asked.Annotations["authorization.k8s.io/decision"] != "allow" {
			t.Errorf("berth lacks the right to %s %s: %v", asked.Verb, asked.RequestURI, asked.Annotations)
		}
	}
}

// needEveryRight brings berth, which has just started, to do all that it ever does.
func (f *fleet) needEveryRight(t *testing.T) {
	t.Helper()
	// get namespaces: one that nobody has heard of.
	bundles, _ := f.caBundles(t)
	code, answer := post(t, berthClient(t, bundles[0]), "https://"+f.Replicas[0].Address+mutatePath, reviewOf(t, "no-such-namespace", []byte(`{}`)))
	if want := `asking for it failed: read namespace no-such-namespace: namespaces \"no-such-namespace\" not found`; code != 500 || !strings.Contains(string(answer), want) {
		t.Errorf("for an unknown namespace berth answered %d %s", code, answer)
	}

	// get daemonsets: a condition on what berth does not keep. create events: a DaemonSet that does not comply with it.
	f.kubectl(t, agent("nodeSelector: {e2e-pool: mine}"), "create", "-n", "default", "-f", "-")
	policy := policyManifest(t, "default", "all-rights", poolA+onlyIf(`object.spec.template.spec.containers[0].image.startsWith('agent:')`))
	f.kubectl(t, policy, "apply", "-f", "-")
	f.awaitEvents(t, "reason=PlacementViolation", "DaemonSet/agent")

	// patch events, in both APIs: the leader loses the Lease and gets it again, as when the API server is away for long.
	f.holdLease(t, "somebody-else")
	f.awaitEvents(t, "reason=LeaderElection", "Lease/berth", "Lease/berth")
	f.holdLease(t, "")

	// Of the Secret create, and then update; of the configurations patch.
	f.expectRepair(t, spoiled[0].kubectl)
	f.expectRepair(t, patchBundle("mutating", foreignBundle()))
	f.expectRepair(t, patchBundle("validating", foreignBundle()))
}

func (f *fleet) kubectl(t *testing.T, stdin string, args ...string) {
	t.Helper()
	if _, _, err := f.Kubectl(t.Context(), stdin, args...); err != nil {
		t.Fatal(err)
	}
}

// awaitEvents waits for Events on these objects.
func (f *fleet) awaitEvents(t *testing.T, selector string, want ...string) {
	t.Helper()
	waitFor(t, "Events with "+selector, func() (bool, string) {
		events, err := f.Client.EventsV1().Events("").List(t.Context(), metav1.ListOptions{FieldSelector: selector})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, event := range events.Items {
			if strings.Contains(event.ReportingController, "berth") || event.Regarding.Namespace == berthNamespace {
				got = append(got, event.Regarding.Kind+"/"+event.Regarding.Name)
			}
		}
		return slices.Equal(want, got), cmp.Diff(want, got)
	})
}

func (f *fleet) holdLease(t *testing.T, holder string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"holderIdentity":%q}}`, holder)
	if _, err := f.Client.CoordinationV1().Leases(berthNamespace).Patch(t.Context(), "berth", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}
