package reliability_test

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A replica that is ready and a caBundle do not say that the API server reaches it. Until it does nothing may be refused.
func TestEnforceWaitsUntilTheAPIServerReachesBerth(t *testing.T) {
	cluster(t)
	setPort := func(port string) {
		kubectl(t, "patch", "validatingwebhookconfiguration", "berth-policies", "--type=json", "-p",
			`[{"op":"replace","path":"/webhooks/0/clientConfig/service/port","value":`+port+`}]`)
	}
	policies := func() string {
		return kubectl(t, "get", "mutatingwebhookconfiguration/berth", "validatingwebhookconfiguration/berth", "-o", "jsonpath={.items[*].webhooks[*].failurePolicy}")
	}
	enforce := func(within time.Duration) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, stderr, err := cp.Run(ctx, "", host.Binary, "enforce", "--kubeconfig", cp.Kubeconfig)
		return stderr, err
	}
	reinstallAtEnd(t)
	for _, kind := range []string{"mutatingwebhookconfiguration", "validatingwebhookconfiguration"} {
		kubectl(t, "patch", kind, "berth", "--type=json", "-p", `[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`)
	}
	setPort("444") // which the Service has not
	if said, err := enforce(8 * time.Second); err == nil || !strings.Contains(said, "the API server to reach berth") || policies() != "Ignore Ignore" {
		t.Errorf("out of reach: %v, failurePolicies %s, said\n%s", err, policies(), said)
	}
	setPort("443")
	if said, err := enforce(time.Minute); err != nil || policies() != "Fail Fail" {
		t.Errorf("%v, failurePolicies %s, said\n%s", err, policies(), said)
	}
}
