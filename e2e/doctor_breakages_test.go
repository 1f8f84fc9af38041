package e2e_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	mutatingConfiguration   = "mutatingwebhookconfiguration"
	validatingConfiguration = "validatingwebhookconfiguration"
)

// breakages is what may be wrong with an installation, by what berth doctor says of it. A function breaks it, and returns
// what mends it.
var breakages = []struct {
	section, says string
	breaks        func(*installation) (mend func())
}{
	{"configurations", "no webhook validate.berth.dev, and the other of the two is there", func(i *installation) func() {
		return i.remove(validatingConfiguration, "berth")
	}},
	{"configurations", "no webhook mutate.berth.dev: the API server does not call berth", func(i *installation) func() {
		one, other := i.remove(mutatingConfiguration, "berth"), i.remove(validatingConfiguration, "berth")
		return func() { one(); other() }
	}},
	{"configurations", "no webhook policies.berth.dev", func(i *installation) func() {
		return i.remove(validatingConfiguration, "berth-policies")
	}},
	{"configurations", "failurePolicy of mutate.berth.dev is Fail, and of validate.berth.dev Ignore", func(i *installation) func() {
		return i.patch(validatingConfiguration, "berth", `[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`,
			`[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Fail"}]`)
	}},
	{"configurations", "two installations of berth: berth and zz-berth", func(i *installation) func() {
		return i.create(strings.Replace(i.saved(mutatingConfiguration, "berth"), `"name":"berth"`, `"name":"zz-berth"`, 1))
	}},
	{"configurations", "failurePolicy of the system tier is Fail", func(i *installation) func() {
		one, other := i.systemTier(mutatingConfiguration), i.systemTier(validatingConfiguration)
		return func() { one(); other() }
	}},
	{"configurations", "no webhook validate.system.berth.dev, and the other of the two is there", func(i *installation) func() {
		return i.systemTier(mutatingConfiguration)
	}},
	{"webhooks", "the API server cannot call berth about a DaemonSet in namespace default", func(i *installation) func() {
		return i.patch(mutatingConfiguration, "berth", `[{"op":"replace","path":"/webhooks/0/clientConfig/url","value":"https://127.0.0.1:1/mutate-apps-v1-daemonset"}]`,
			fmt.Sprintf(`[{"op":"replace","path":"/webhooks/0/clientConfig/url","value":"https://%s/mutate-apps-v1-daemonset"}]`, i.berth.Address))
	}},
	{"webhooks", "one of berth's two webhooks does not answer", func(i *installation) func() {
		return i.remove(validatingConfiguration, "berth")
	}},
	{"webhooks", "without a word from berth", func(i *installation) func() {
		one := i.remove(validatingConfiguration, "berth")
		other := i.patch(mutatingConfiguration, "berth", `[{"op":"add","path":"/webhooks/0/objectSelector","value":{"matchLabels":{"no":"body"}}}]`,
			`[{"op":"replace","path":"/webhooks/0/objectSelector","value":{}}]`)
		return func() { other(); one() }
	}},
	{"webhooks", "the API server stores a DaemonSet in namespace default of priority class system-node-critical without a word from berth", func(i *installation) func() {
		elsewhere := strings.NewReplacer(i.berth.Address, "127.0.0.1:1", `"failurePolicy":"Fail"`, `"failurePolicy":"Ignore"`)
		one, other := i.systemTier(mutatingConfiguration, elsewhere), i.systemTier(validatingConfiguration, elsewhere)
		return func() { one(); other() }
	}},
	{"certificates", "mutate.berth.dev has no CA in its caBundle", func(i *installation) func() {
		return i.caBundle(nil)
	}},
	{"certificates", "have not the same caBundle", func(i *installation) func() {
		return i.caBundle(testCA(i.T, time.Now().Add(-time.Hour), time.Now().Add(48*time.Hour)))
	}},
	{"certificates", "is not valid since", func(i *installation) func() {
		return i.caBundle(testCA(i.T, time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)))
	}},
	{"certificates", "is not valid before", func(i *installation) func() {
		return i.caBundle(testCA(i.T, time.Now().Add(time.Hour), time.Now().Add(48*time.Hour)))
	}},
	{"certificates", "has not been renewed", func(i *installation) func() {
		return i.caBundle(testCA(i.T, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	}},
	{"replicas", "all 2 replicas run on one node", func(i *installation) func() {
		var mends []func()
		for _, name := range []string{"berth-x", "berth-y"} {
			mends = append(mends, i.create(fmt.Sprintf("{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: %s, namespace: berth-system, labels: {berth.dev/replica: ''}}, "+
				"spec: {holderIdentity: x, leaseDurationSeconds: 60, renewTime: %q}}", name, time.Now().UTC().Format(metav1.RFC3339Micro))),
				i.create(fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: berth-system}, spec: {nodeName: n-1, terminationGracePeriodSeconds: 0, "+
					"securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: berth, image: berth, "+
					"securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}", name)))
		}
		return func() {
			for _, mend := range mends {
				mend()
			}
		}
	}},
	{"versions", "the CustomResourceDefinition is older than this berth, and drops spec.updatePolicy", func(i *installation) func() {
		saved := i.saved("crd", "placementpolicies.berth.dev")
		i.kubectl("", "patch", "crd", "placementpolicies.berth.dev", "--type=json", "-p",
			`[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/updatePolicy"}]`)
		return func() { i.kubectl(saved, "replace", "-f", "-") }
	}},
	{"others", "mutate.berth.dev is not called again after zz.example.com", func(i *installation) func() {
		one := i.create("{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: zz}, webhooks: [{name: zz.example.com, " +
			"admissionReviewVersions: [v1], sideEffects: None, failurePolicy: Ignore, clientConfig: {url: 'https://127.0.0.1:1/'}, objectSelector: {matchLabels: {no: body}}, " +
			"rules: [{apiGroups: [apps], apiVersions: [v1], operations: ['*'], resources: ['*/*']}]}]}")
		other := i.patch(mutatingConfiguration, "berth", `[{"op":"replace","path":"/webhooks/0/reinvocationPolicy","value":"Never"}]`,
			`[{"op":"replace","path":"/webhooks/0/reinvocationPolicy","value":"IfNeeded"}]`)
		return func() { other(); one() }
	}},
	{"rights", "ClusterRoleBinding everybody lets all of system:authenticated write", func(i *installation) func() {
		return i.create("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: everybody}, " +
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, " +
			"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:authenticated'}]}")
	}},
	{"policies", "policy broken is not in force", func(i *installation) func() {
		hook := i.remove(validatingConfiguration, "berth-policies")
		policy := i.create("{apiVersion: berth.dev/v1alpha1, kind: PlacementPolicy, metadata: {name: broken}, spec: {nodeSelector: {a: b}, matchConstraints: " +
			"{namespaceSelector: {matchLabels: {no: body}}}, matchConditions: [{name: c, expression: 'object.'}]}}")
		return func() { policy(); hook() }
	}},
	{"policies", "policy one: ", func(i *installation) func() {
		const policy = "{apiVersion: berth.dev/v1alpha1, kind: PlacementPolicy, metadata: {name: %s}, spec: {nodeSelector: {pool: %s}}}"
		one, two := i.create(fmt.Sprintf(policy, "one", "a")), i.create(fmt.Sprintf(policy, "two", "b"))
		ds := i.create("{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: any, namespace: kube-public}, spec: {selector: {matchLabels: {app: any}}, " +
			"template: {metadata: {labels: {app: any}}, spec: {containers: [{name: any, image: any}]}}}}")
		return func() { ds(); one(); two() }
	}},
	{"daemonsets", "berth's annotation claims what is not there", func(i *installation) func() {
		// Namespace kube-public is left out by the webhooks, as all are while berth is switched off.
		return i.create("{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: stale, namespace: kube-public, annotations: " +
			`{berth.dev/injected: '{"version":2,"policies":{"p":{"nodeSelector":{"a":"b"}}}}'}}, spec: {selector: {matchLabels: {app: stale}}, ` +
			"template: {metadata: {labels: {app: stale}}, spec: {containers: [{name: any, image: any}]}}}}")
	}},
	{"daemonsets", "changed all the time", func(i *installation) func() {
		mend := i.create("{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: fought, namespace: kube-public}, spec: {selector: {matchLabels: {app: fought}}, " +
			"template: {metadata: {labels: {app: fought}}, spec: {nodeSelector: {no: body}, containers: [{name: any, image: any}]}}}}")
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
					_, _, _ = i.cp.Kubectl(i.Context(), "", "set", "image", "-n", "kube-public", "ds/fought", fmt.Sprintf("any=any:%d", n))
				}
			}
		}()
		return func() { close(stop); <-stopped; mend() }
	}},
}

// systemTier creates a second webhook configuration like the first, but for the names and what somebody changes.
func (i *installation) systemTier(kind string, changes ...*strings.Replacer) func() {
	i.Helper()
	configuration := i.saved(kind, "berth")
	for _, change := range append(changes, strings.NewReplacer(`"name":"berth"`, `"name":"berth-system"`, `e.berth.dev"`, `e.system.berth.dev"`)) {
		configuration = change.Replace(configuration)
	}
	return i.create(configuration)
}

func (i *installation) caBundle(pem []byte) func() {
	encode := func(pem []byte) string {
		encoded, _ := json.Marshal(pem) // bytes: cannot fail
		return string(encoded)
	}
	i.Helper()
	const replace = `[{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":%s}]`
	back := fmt.Sprintf(replace, encode(i.berth.CABundle))
	if pem == nil {
		return i.patch(mutatingConfiguration, "berth", `[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`, back)
	}
	return i.patch(mutatingConfiguration, "berth", fmt.Sprintf(replace, encode(pem)), back)
}

// testCA is a CA of a period, PEM.
func testCA(t *testing.T, notBefore, notAfter time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: notBefore, NotAfter: notAfter, KeyUsage: x509.KeyUsageCertSign,
	}
	_, der := newPair(t, template, template, nil)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
