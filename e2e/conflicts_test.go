package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPoliciesThatContradictEachOtherBothStandInTheDenialAndInStatus(t *testing.T) {
	namespace := newNamespace(t, nil)
	want := []string{`spec.template.spec.nodeSelector[e2e-pool]: Forbidden: policy "pool-a" requires e2e-pool=a (from its nodeSelector), ` +
		`policy "pool-b" requires e2e-pool=b (from its nodeSelector): no node has both; ask a cluster admin to change one of them`}
	specs := map[string]string{"pool-a": poolA, "pool-b": "nodeSelector: {e2e-pool: b}"}
	// Whichever was there first, the answer is the same.
	for _, names := range [][]string{{"pool-a", "pool-b"}, {"pool-b", "pool-a"}} {
		for _, name := range names {
			applyPolicy(t, namespace, name, anyNodes+specs[name])
		}
		if diff := cmp.Diff(want, createRejected(t, namespace, agent(""))); diff != "" {
			t.Errorf("%v: causes (-want +got):\n%s", names, diff)
		}
		for i, name := range names {
			kubectl(t, "", "wait", "--for=condition=Conflicting", "--timeout=60s", "placementpolicy/"+name)
			message := kubectl(t, "", "get", "placementpolicy", name, "-o", `jsonpath={.status.conditions[?(@.type=="Conflicting")].message}`)
			if other := names[1-i]; !strings.Contains(message, `policy "`+other+`" requires e2e-pool=`) {
				t.Errorf("%s: the status says %q, and nothing of %s", name, message, other)
			}
		}
		deletePolicy(t, names[1])
		kubectl(t, "", "wait", "--for=condition=Conflicting=False", "--timeout=60s", "placementpolicy/"+names[0])
		deletePolicy(t, names[0])
	}
}

func TestAConflictOfPoliciesGoesTheWayOfTheirValidationActions(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "pool-a", anyNodes+poolA+"validationActions: [Warn]")
	applyPolicy(t, namespace, "pool-b", anyNodes+"nodeSelector: {e2e-pool: b, e2e-disk: ssd}\nvalidationActions: [Warn]")
	stderr := create(t, namespace, agent(""))
	expectKubectl(t, stderr, "Warning: "+cut(`policy "pool-a" requires e2e-pool=a (from its nodeSelector), policy "pool-b" requires e2e-pool=b (from its nodeSelector): no node has both`)+"\n")
	// What is not in conflict is done.
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-disk": "ssd"})
}

func TestAnObjectSelectorMeetsTheOldObjectOrTheNew(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "pool", anyNodes+poolA+"matchConstraints: {objectSelector: {matchLabels: {managed: \"yes\"}}}")
	const managed = `labels: {managed: "yes"}`
	if diff := cmp.Diff(map[string]string(nil), placed(t, namespace, agent(""))); diff != "" {
		t.Errorf("without the label, nodeSelector (-want +got):\n%s", diff)
	}
	create(t, namespace, withMetadata(agent(""), managed))
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "a"})

	evasion := []string{"patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p",
		`{"metadata":{"labels":{"managed":null}},"spec":{"template":{"spec":{"nodeSelector":{"e2e-pool":"mine"}}}}}`}
	if diff := cmp.Diff([]string{pinnedTo("mine")}, causes(kubectlRejected(t, "", evasion...))); diff != "" {
		t.Errorf("taking the label off in the same update, causes (-want +got):\n%s", diff)
	}
	kubectl(t, "", "label", "-n", namespace, "daemonset/agent", "managed-")
	kubectl(t, "", evasion...)

	entering := []string{"patch", "-n", namespace, "daemonset/agent", "--type=merge", "-p",
		`{"metadata":{"labels":{"managed":"yes"}},"spec":{"template":{"spec":{"nodeSelector":{"e2e-pool":"other"}}}}}`}
	if diff := cmp.Diff([]string{pinnedTo("other")}, causes(kubectlRejected(t, "", entering...))); diff != "" {
		t.Errorf("putting the label on, causes (-want +got):\n%s", diff)
	}
}
