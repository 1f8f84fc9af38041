package reliability_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
)

func helm(t *testing.T, args ...string) string {
	t.Helper()
	stdout, _, err := cp.Helm(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	return stdout
}

// helmRefused runs a command of helm that has to fail, and returns what it says.
func helmRefused(t *testing.T, args ...string) string {
	t.Helper()
	_, stderr, err := cp.Helm(t.Context(), args...)
	if err == nil {
		t.Fatalf("helm %s has not failed", strings.Join(args, " "))
	}
	return stderr
}

// withoutBerth begins a test without berth, its CRD included, and ends it with what deploy/berth.yaml installs.
func withoutBerth(t *testing.T) {
	t.Helper()
	cluster(t)
	t.Cleanup(func() {
		removeBerth(t)
		if err := install(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	removeBerth(t)
}

func removeBerth(t *testing.T) {
	t.Helper()
	var releases []struct{ Name, Namespace string }
	if err := json.Unmarshal([]byte(helm(t, "list", "--all-namespaces", "--output=json")), &releases); err != nil {
		t.Fatal(err)
	}
	for _, release := range releases {
		helm(t, "uninstall", release.Name, "-n", release.Namespace)
	}
	host.Down()
	kubectl(t, "delete", "--ignore-not-found", "-f", "deploy/berth.yaml")
	host.Up()
}

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
	{name: "system tier", values: "webhook: {system: {enabled: true}}", installed: expectSystemTierCounted},
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

// Every write of a DaemonSet is made while berth comes, changes and goes. None may fail, and from the return of helm
// install to helm uninstall each is placed.
func TestNoWriteFailsWhileHelmInstallsUpgradesAndUninstalls(t *testing.T) {
	withoutBerth(t)
	for i := range valueSets {
		set := &valueSets[i]
		t.Run(set.name, func(t *testing.T) {
			namespace := fmt.Sprintf("berth-%d", i)
			if i == 0 {
				namespace = berthNamespace
			}
			if i > 0 {
				kubectl(t, "create", "namespace", namespace)
				t.Cleanup(func() { kubectl(t, "delete", "namespace", namespace, "--wait=false") })
			}
			values := set.file(t, namespace)
			if i > 0 { // The first installs the CRD.
				expectStrict(t, namespace, values)
			}
			if i >= full(1, len(valueSets)) {
				t.Skip("the rest is for make soak")
			}
			set.live(t, namespace, values)
		})
	}
}

// file writes the values.
func (s *valueSet) file(t *testing.T, namespace string) string {
	t.Helper()
	values := s.values
	if s.prepare != nil {
		values += "\n" + s.prepare(t, namespace)
	}
	path := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(path, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// expectStrict applies what the chart renders, to no effect: neither the API server nor kubectl may know a field not.
func expectStrict(t *testing.T, namespace, values string) {
	t.Helper()
	rendered := helm(t, "template", "berth", "deploy/chart", "-n", namespace, "-f", values)
	if _, stderr, err := cp.Kubectl(t.Context(), rendered, "create", "--dry-run=server", "--validate=strict", "-f", "-"); err != nil || stderr != "" {
		t.Errorf("%v %s", err, stderr)
	}
}

// live installs, upgrades and uninstalls a release while DaemonSets are written.
func (s *valueSet) live(t *testing.T, namespace, values string) {
	t.Helper()
	began := time.Now()
	step := func(what string) {
		t.Logf("%s: %s", what, time.Since(began).Round(100*time.Millisecond))
		began = time.Now()
	}
	whileNothingFails(t, func() {
		helm(t, "install", "berth", "deploy/chart", "-n", namespace, "--create-namespace", "-f", values)
	})
	t.Cleanup(func() { helm(t, "uninstall", "berth", "-n", namespace, "--ignore-not-found") })
	step("install")
	s.expectFailurePolicies(t, s.ignores)
	if left := kubectl(t, "get", "clusterrole,clusterrolebinding", "-o", "name"); strings.Contains(left, "-enforce") {
		t.Errorf("the rights of the Job are left:\n%s", left)
	}
	if s.installed != nil {
		s.installed(t)
	}
	step("checks")

	rollout := []string{"-n", namespace, "rollout", "status", "deployment/" + s.objects(), "--timeout=120s"}
	enabled := enabledNamespace(t)
	if s.ignores { // Nobody has waited for berth.
		kubectl(t, rollout...)
		awaitPlacement(t, enabled)
	}
	load := startLoad(t, enabled)
	helm(t, "upgrade", "berth", "deploy/chart", "-n", namespace, "-f", values, "--set="+cmp.Or(s.upgrade, "podAnnotations.turn=two"))
	kubectl(t, rollout...)
	counts := load.stop(t)
	if s.unplaced {
		counts.expectNothingFailed(t)
	} else {
		counts.expectNothingLost(t)
	}
	s.expectFailurePolicies(t, s.ignores)
	step("upgrade")
	if s.changesMind {
		s.switchFailurePolicy(t, namespace, values)
		step("Ignore and Fail again")
	}

	whileNothingFails(t, func() { helm(t, "uninstall", "berth", "-n", namespace) })
	left := kubectl(t, "get", "mutatingwebhookconfiguration,validatingwebhookconfiguration,clusterrole,clusterrolebinding", "-o", "name")
	for line := range strings.Lines(left) {
		if strings.Contains(line, "berth") || strings.Contains(line, s.objects()) {
			t.Errorf("helm uninstall leaves %s", line)
		}
	}
	step("uninstall")
}

// expectFailurePolicies compares those of all webhooks, in both configurations.
func (s *valueSet) expectFailurePolicies(t *testing.T, ignores bool) {
	t.Helper()
	got := strings.Fields(kubectl(t, "get", "mutatingwebhookconfiguration,validatingwebhookconfiguration", s.objects(),
		"-o", "jsonpath={range .items[*].webhooks[*]}{.name}={.failurePolicy}{.clientConfig.service.path} {end}"))
	got = slices.DeleteFunc(got, func(webhook string) bool {
		return !strings.HasPrefix(webhook, "mutate.") && !strings.HasPrefix(webhook, "validate.")
	})
	want := []string{"mutate.berth.dev=Fail/mutate-apps-v1-daemonset", "validate.berth.dev=Fail/validate-apps-v1-daemonset"}
	if ignores {
		want = []string{"mutate.berth.dev=Ignore/mutate-apps-v1-daemonset", "validate.berth.dev=Ignore/validate-best-effort-apps-v1-daemonset"}
	}
	if strings.Contains(s.values, "system:") {
		want = slices.Insert(want, 1, "mutate.system.berth.dev=Ignore/mutate-apps-v1-daemonset")
		want = append(want, "validate.system.berth.dev=Ignore/validate-best-effort-apps-v1-daemonset")
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("failurePolicy (-want +got):\n%s", diff)
	}
}

// switchFailurePolicy goes to Ignore and back to Fail by values. What the Job has set is nobody's, so that Helm may set it.
func (s *valueSet) switchFailurePolicy(t *testing.T, namespace, values string) {
	t.Helper()
	upgrade := []string{"upgrade", "berth", "deploy/chart", "-n", namespace, "-f", values}
	load := startLoad(t, enabledNamespace(t))
	helm(t, append(upgrade, "--set=webhook.failurePolicy=Ignore")...)
	s.expectFailurePolicies(t, true)
	helm(t, append(upgrade, "--set=webhook.failurePolicy=Fail")...)
	s.expectFailurePolicies(t, false)
	counts := load.stop(t)
	counts.expectNothingLost(t)
}

// whileNothingFails does something under load. Whether the writes are placed is not looked at.
func whileNothingFails(t *testing.T, do func()) {
	t.Helper()
	namespace := enabledNamespace(t)
	load := startLoad(t, namespace)
	do()
	written := load.written()
	eventually(t, "writes after it", func() (bool, string) { return load.written() > written+100, "" })
	counts := load.stop(t)
	counts.expectNothingFailed(t)
	kubectl(t, "delete", "namespace", namespace) // What was not placed has pods.
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
