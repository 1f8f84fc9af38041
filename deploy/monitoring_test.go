package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// alertNames returns the names of the alerts that the chart has.
func alertNames(t *testing.T) (names []string) {
	t.Helper()
	content, err := os.ReadFile("chart/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert string }
		}
	}
	if err := yaml.Unmarshal(content, &rules); err != nil {
		t.Fatal(err)
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
		}
	}
	return names
}

func TestPromtoolPassesTheAlertsAndTheirTests(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("there is no promtool, of Debian's package prometheus, to check the alerts with")
	}
	for _, args := range [][]string{{"check", "rules", "../chart/monitoring/alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		command := exec.Command(promtool, args...)
		command.Dir = "testdata"
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
		}
	}
}

func TestEachAlertHasATestAndAParagraph(t *testing.T) {
	tests, err := os.ReadFile("testdata/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	runbook, err := os.ReadFile("../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	names := alertNames(t)
	if len(names) == 0 {
		t.Fatal("no alerts")
	}
	for _, name := range names {
		// One that fires, and one that does not.
		if fires := strings.Count(string(tests), "alertname: "+name+"\n        exp_alerts:"); fires == 0 {
			t.Errorf("no test has %s fire", name)
		}
		if !strings.Contains(string(tests), "alertname: "+name+"}") {
			t.Errorf("no test has %s not fire", name)
		}
		if !strings.Contains(string(runbook), "\n## "+name+"\n") {
			t.Errorf("docs/alerts.md has no paragraph on %s", name)
		}
	}
}

func TestMonitoringIsOffByDefaultAndWhatTheValuesSay(t *testing.T) {
	objects, err := render(t, "monitoring.podMonitor.enabled=true", "monitoring.podMonitor.labels.release=prom",
		"monitoring.rules.enabled=true", "monitoring.dashboard.enabled=true", "fullnameOverride=gate")
	if err != nil {
		t.Fatal(err)
	}
	type monitor struct {
		APIVersion, Kind string
		Metadata         map[string]any
		Spec             struct {
			Selector            map[string]any
			PodMetricsEndpoints []map[string]any
		}
	}
	got := find[monitor](t, objects, "PodMonitor")
	want := map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/name": "berth"}}
	if diff := cmp.Diff(want, got.Spec.Selector); diff != "" {
		t.Errorf("the PodMonitor's selector (-want +got):\n%s", diff)
	}
	// Without honorLabels the label namespace of a DaemonSet would become exported_namespace.
	endpoints := []map[string]any{{"port": "metrics", "interval": "30s", "honorLabels": true}}
	if diff := cmp.Diff(endpoints, got.Spec.PodMetricsEndpoints); diff != "" {
		t.Errorf("the PodMonitor's endpoints (-want +got):\n%s", diff)
	}
	if labels, _ := got.Metadata["labels"].(map[string]any); labels["release"] != "prom" {
		t.Errorf("the PodMonitor's labels are %v", labels)
	}
	type rule struct {
		APIVersion, Kind string
		Metadata         map[string]any
		Spec             map[string]any
	}
	content, err := os.ReadFile("chart/monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules map[string]any
	if err := yaml.Unmarshal(content, &rules); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rules, find[rule](t, objects, "PrometheusRule").Spec); diff != "" {
		t.Errorf("the rules (-want +got):\n%s", diff)
	}
	dashboard := find[corev1.ConfigMap](t, objects, "ConfigMap")
	if dashboard.Name != "gate-dashboard" || dashboard.Labels["grafana_dashboard"] != "1" || !json.Valid([]byte(dashboard.Data["berth.json"])) {
		t.Errorf("the dashboard is %s, labels %v, valid %v", dashboard.Name, dashboard.Labels, json.Valid([]byte(dashboard.Data["berth.json"])))
	}

	objects, err = render(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if object.Kind == "PodMonitor" || object.Kind == "PrometheusRule" || object.Kind == "ConfigMap" {
			t.Errorf("a %s by default", object.Kind)
		}
	}
}
