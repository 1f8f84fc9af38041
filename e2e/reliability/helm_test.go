package reliability_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
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
			if i < full(2, len(valueSets)) {
				set.live(t, namespace, values)
			}
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
	kubectl(t, "delete", "namespace", enabled, "--wait=false")
	s.hasSystemTier = s.hasSystemTier && s.upgrade == ""
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

// expectFailurePolicies compares those of all webhooks, in all configurations.
func (s *valueSet) expectFailurePolicies(t *testing.T, ignores bool) {
	t.Helper()
	got := strings.Fields(kubectl(t, "get", "mutatingwebhookconfiguration,validatingwebhookconfiguration",
		"-o", "jsonpath={range .items[*].webhooks[*]}{.name}={.failurePolicy}{.clientConfig.service.path} {end}"))
	got = slices.DeleteFunc(got, func(webhook string) bool {
		return !strings.Contains(webhook, "berth.dev=")
	})
	want := []string{"mutate.berth.dev=Fail/mutate-apps-v1-daemonset", "validate.berth.dev=Fail/validate-apps-v1-daemonset"}
	if ignores {
		want = []string{"mutate.berth.dev=Ignore/mutate-apps-v1-daemonset", "validate.berth.dev=Ignore/validate-best-effort-apps-v1-daemonset"}
	}
	want = append(want, "policies.berth.dev=Ignore/validate-berth-dev-v1alpha1-placementpolicy")
	if s.hasSystemTier {
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
	kubectl(t, "delete", "namespace", namespace, "--wait=false") // What was not placed has pods.
}
