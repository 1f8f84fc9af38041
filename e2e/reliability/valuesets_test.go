package reliability_test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
)

// valueSet is values that somebody may set, and what is different then.
type valueSet struct {
	name   string
	values string
	// prepare makes what the values refer to, in the release's namespace, and returns more values.
	prepare func(t *testing.T, namespace string) (more string)
	// unplaced says that nothing places the DaemonSets of the load, and ignores that the API server does without berth.
	unplaced, ignores bool
	// changesMind says to switch failurePolicy to and fro.
	changesMind bool
	// hasSystemTier says that there are the webhooks of the system tier; upgrade takes them away.
	hasSystemTier bool
	// upgrade is a value that changes; empty: one that replaces the pods.
	upgrade string
	// called is the name of the objects; empty: berth.
	called string
	// installed is what else to look at once berth is installed.
	installed func(t *testing.T)
}

func (s *valueSet) objects() string { return cmp.Or(s.called, "berth") }

var valueSets = []valueSet{
	{name: "defaults", installed: expectOneBerthOnly, changesMind: true},
	{
		name: "system tier", values: "webhook: {system: {enabled: true}}", installed: expectSystemTierCounted,
		hasSystemTier: true, upgrade: "webhook.system.enabled=false",
	},
	{name: "names", called: "harbour", installed: expectOneBerthOnly, values: `
nameOverride: placement
fullnameOverride: harbour
commonLabels: {team: platform}
commonAnnotations: {owner: platform}
podLabels: {a: b}
podAnnotations: {c: d}
service: {annotations: {e: f}}
webhook: {annotations: {g: h}}`},
	// A node has each port once, and there is one node.
	{name: "host network", upgrade: "webhook.timeoutSeconds=3", values: `
hostNetwork: true
replicas: 1
ports: {webhook: 10250, metrics: 10251, health: 10252}
service: {port: 8443}`},
	{name: "own certificate", values: "certs: {source: files, secretName: mine}", prepare: ownCertificate},
	{name: "selected namespaces", values: `
webhook: {namespaceSelector: {matchLabels: {berth.dev/placement: enabled}, matchExpressions: [{key: no-berth, operator: DoesNotExist}]}}`},
	{name: "ignored when dead", ignores: true, values: "webhook: {failurePolicy: Ignore, timeoutSeconds: 2}"},
	{name: "one replica", values: `
replicas: 1
priorityClassName: ""
revisionHistoryLimit: 1
extraArgs: [--log-level=debug]
env: [{name: GOGC, value: "50"}]
resources: {limits: {memory: 512Mi}}
podSecurityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: other}}}}]}}`},
	{name: "closed", unplaced: true, values: `
ownLabelPolicy: {enabled: false}
rbac: {aggregate: false}
networkPolicy: {enabled: true, metricsFrom: [{namespaceSelector: {}}]}
webhook: {excludedPriorityClasses: [], excludedNamespaces: [kube-system, kube-public, kube-node-lease, team-a]}`},
}

func expectOneBerthOnly(t *testing.T) {
	t.Helper()
	want := "berth is in this cluster already, as release berth in namespace "
	for _, more := range []string{"", "--set=fullnameOverride=other"} {
		args := []string{"install", "second", "deploy/chart", "-n", metav1.NamespaceDefault}
		if more != "" {
			args = append(args, more)
		}
		if got := helmRefused(t, args...); !strings.Contains(got, want) {
			t.Errorf("helm said %q, not %q", got, want)
		}
	}
	if got := kubectl(t, "-n", metav1.NamespaceDefault, "get", "deployments", "-o", "name"); got != "" {
		t.Errorf("the second release has made %s", got)
	}
	kubectl(t, "create", "clusterrolebinding", "viewer", "--clusterrole=view", "--user=viewer")
	t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding", "viewer") })
	eventually(t, "a viewer to see policies and change none", func() (bool, string) {
		var got []string
		for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete"} {
			stdout, _, _ := cp.Kubectl(t.Context(), "", "auth", "can-i", verb, "placementpolicies", "--as=viewer")
			if strings.TrimSpace(stdout) == "yes" {
				got = append(got, verb)
			}
		}
		return slices.Equal(got, []string{"get", "list", "watch"}), fmt.Sprint(got)
	})
}

const systemPolicy = `
apiVersion: berth.dev/v1alpha1
kind: PlacementPolicy
metadata: {name: system}
spec:
  matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}
  nodeSelector: {for: system}
  nodeChecks: {minMatchingNodes: 0}
`

// expectSystemTierCounted writes a DaemonSet that only the system tier sends to berth.
func expectSystemTierCounted(t *testing.T) {
	t.Helper()
	apply(t, systemPolicy)
	t.Cleanup(func() {
		kubectl(t, "-n", "kube-system", "delete", "daemonset", "counted")
		kubectl(t, "delete", "placementpolicy", "system")
	})
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=60s", "placementpolicy/system")
	counts := func() string {
		return kubectl(t, "get", "placementpolicy", "system", "-o", "jsonpath={.status.daemonSets.matched} {.status.daemonSets.compliant}")
	}
	ds := daemonSet(t)
	ds.Name = "counted"
	ds.Spec.Template.Spec.PriorityClassName = "system-node-critical"
	stored, err := cp.Client.AppsV1().DaemonSets("kube-system").Create(t.Context(), ds, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if stored.Spec.Template.Spec.NodeSelector["for"] != "system" {
		t.Error("the policy does not act on a DaemonSet of kube-system")
	}
	eventually(t, "the audit to count it", func() (bool, string) { got := counts(); return got == "1 1", got })
}

// ownCertificate makes a Secret with a certificate, and says who signed it.
func ownCertificate(t *testing.T, namespace string) string {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey(fmt.Sprintf("berth.%s.svc", namespace), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	}
	if _, err := cp.Client.CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("webhook: {caBundle: %s}", base64.StdEncoding.EncodeToString(certificate))
}
