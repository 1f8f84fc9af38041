package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	poolA     = "nodeSelector: {e2e-pool: a}\n"
	condition = "matchConditions: [{name: only, expression: \"%s\"}]\n"
)

func onlyIf(expression string) string { return strings.ReplaceAll(condition, "%s", expression) }

func TestMatchConditionsSeeTheRequestTheObjectsAndTheNamespace(t *testing.T) {
	namespace := newNamespace(t, map[string]string{"env": "prod"})
	tests := []struct {
		name, yes, no string
	}{
		{"request", `request.operation == 'CREATE' && request.userInfo.username == 'berth-testbed-admin'`, `request.userInfo.username == 'somebody'`},
		{"object", `object.spec.template.spec.containers.exists(c, c.image.startsWith('agent:'))`, `object.metadata.name == 'another'`},
		{"oldObject", `oldObject == null`, `oldObject != null`},
		{"namespaceObject", `namespaceObject.metadata.labels.env == 'prod'`, `namespaceObject.metadata.labels.env == 'dev'`},
		{"the API server's libraries", `quantity('1Gi').isGreaterThan(quantity('1Mi')) && object.?spec.?paused.orValue('') == ''`, `'agent'.find('[0-9]+') != ''`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			applyPolicy(t, namespace, "conditional", anyNodes+poolA+onlyIf(test.yes))
			if diff := cmp.Diff(map[string]string{"e2e-pool": "a"}, placed(t, namespace, agent(""))); diff != "" {
				t.Errorf("where it is true, nodeSelector (-want +got):\n%s", diff)
			}
			applyPolicy(t, namespace, "conditional", anyNodes+poolA+onlyIf(test.no))
			if diff := cmp.Diff(map[string]string(nil), placed(t, namespace, agent(""))); diff != "" {
				t.Errorf("where it is false, nodeSelector (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMatchConditionsSeeTheOldObjectOfAnUpdate(t *testing.T) {
	namespace := newNamespace(t, nil)
	create(t, namespace, agent(""))
	applyPolicy(t, namespace, "conditional", anyNodes+poolA+
		onlyIf(`oldObject != null && oldObject.spec.template.spec.containers[0].image != object.spec.template.spec.containers[0].image`))
	kubectl(t, "", "set", "env", "-n", namespace, "daemonset/agent", "A=B")
	expectNodeSelector(t, get(t, namespace, "agent"), nil)
	setImage(t, namespace, "agent:2")
	expectNodeSelector(t, get(t, namespace, "agent"), map[string]string{"e2e-pool": "a"})
}

func TestAMatchConditionThatDoesNotCompileIsInStatusAndDeniesUntilItIsMended(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "conditional", anyNodes+poolA+onlyIf(`object.metadata.name == 'agent'`))
	kubectl(t, "", "wait", "--for=condition=Ready", "--timeout=60s", "placementpolicy/conditional")

	broken := anyNodes + "nodeSelector: {e2e-pool: b}\n" + onlyIf(`objekt.metadata.name == 'agent'`)
	refused := kubectlRejected(t, policyManifest(t, namespace, "conditional", broken), "apply", "-f", "-")
	if want := `spec.matchConditions[0].expression: Invalid value: "objekt.metadata.name == 'agent'": ERROR: <input>:1:1: undeclared reference to 'objekt'`; !strings.Contains(refused, want) {
		t.Errorf("kubectl said\n%s\nand nothing of\n%s", refused, want)
	}
	withoutAsking(t, func() { applyPolicy(t, namespace, "conditional", broken) })
	kubectl(t, "", "wait", "--for=condition=Ready=False", "--timeout=60s", "placementpolicy/conditional")
	message := kubectl(t, "", "get", "placementpolicy", "conditional", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
	for _, want := range []string{`spec.matchConditions[0].expression: Invalid value: "objekt.metadata.name == 'agent'"`, `undeclared reference to 'objekt'`} {
		if !strings.Contains(message, want) {
			t.Errorf("status says %q, and nothing of %q", message, want)
		}
	}
	causes := strings.Join(createRejected(t, namespace, agent("")), "\n")
	if want := `metadata: Forbidden: policy "conditional" is invalid: ask a cluster admin to edit it: spec.matchConditions[0].expression`; !strings.HasPrefix(causes, want) {
		t.Errorf("denied with %q, want %q", causes, want)
	}
	// An update may keep what is wrong already.
	applyPolicy(t, namespace, "conditional", "failurePolicy: Ignore\n"+broken)
	if diff := cmp.Diff(map[string]string(nil), placed(t, namespace, agent(""))); diff != "" {
		t.Errorf("nodeSelector with failurePolicy Ignore (-want +got):\n%s", diff)
	}

	applyPolicy(t, namespace, "conditional", anyNodes+"nodeSelector: {e2e-pool: b}\n"+onlyIf(`object.metadata.name == 'agent'`))
	kubectl(t, "", "wait", "--for=condition=Ready", "--timeout=60s", "placementpolicy/conditional")
	if diff := cmp.Diff(map[string]string{"e2e-pool": "b"}, placed(t, namespace, agent(""))); diff != "" {
		t.Errorf("nodeSelector by the mended policy (-want +got):\n%s", diff)
	}
}

// withoutAsking writes policies while nobody is asked about them, as when no replica answers.
func withoutAsking(t *testing.T, write func()) {
	t.Helper()
	ask := func(operations string) {
		t.Helper()
		kubectl(t, "", "patch", "validatingwebhookconfiguration/berth-policies", "--type=json", "-p",
			`[{"op":"replace","path":"/webhooks/0/rules/0/operations","value":[`+operations+`]}]`)
		// Until the API server has heard of it.
		waitFor(t, "policies are asked about at "+operations, func() (bool, string) {
			_, stderr, err := cp.Kubectl(t.Context(), policyManifest(t, "nowhere", "probe", poolA+onlyIf("nobody")), "create", "--dry-run=server", "-f", "-")
			return (err == nil) == (operations == `"DELETE"`), stderr
		})
	}
	ask(`"DELETE"`)
	write()
	ask(`"CREATE","UPDATE"`)
}

func TestAMatchConditionThatFailsGoesTheWayOfTheFailurePolicy(t *testing.T) {
	namespace := newNamespace(t, nil)
	tests := []struct{ name, expression, cause string }{
		{"for a field that is not there", `object.spec.nothing == 1`, `matchCondition "only": no such key: nothing`},
		{"for its cost", `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a+b+c+d+e+f > 0))))))`,
			`matchCondition "only": operation cancelled: actual cost limit exceeded`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			applyPolicy(t, namespace, "conditional", anyNodes+poolA+onlyIf(test.expression))
			want := []string{"metadata: Forbidden: " + test.cause + ": ask a cluster admin to mend the policy"}
			if diff := cmp.Diff(want, createRejected(t, namespace, agent(""))); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
			applyPolicy(t, namespace, "conditional", anyNodes+poolA+"failurePolicy: Ignore\n"+onlyIf(test.expression))
			stderr := create(t, namespace, agent(""))
			expectKubectl(t, stderr, "Warning: "+cut(test.cause+": ask a cluster admin to mend the policy (metadata)")+"\n")
			expectNodeSelector(t, get(t, namespace, "agent"), nil)
			kubectl(t, "", "delete", "-n", namespace, "daemonset/agent")
		})
	}
}
