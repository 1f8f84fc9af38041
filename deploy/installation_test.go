package deploy

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// firstInstallation is a copy of the chart that renders what helm install does. helm template has no cluster to look at,
// and so leaves out the Job that sets failurePolicy.
func firstInstallation(t *testing.T) (chart string) {
	t.Helper()
	chart = t.TempDir()
	if err := os.CopyFS(chart, os.DirFS("chart")); err != nil {
		t.Fatal(err)
	}
	const file, looksForACluster = "/templates/_webhooks.tpl", `(lookup "v1" "Namespace" "" "default")`
	content, err := os.ReadFile(chart + file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(content), looksForACluster) != 1 {
		t.Fatalf("%s does not look for a cluster by %s", file, looksForACluster)
	}
	content = []byte(strings.Replace(string(content), looksForACluster, "true", 1))
	if err := os.WriteFile(chart+file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return chart
}

// shapes are the objects with the kind of each value in place of the value.
func shapes(t *testing.T, objects []document) (all []any) {
	t.Helper()
	for _, d := range objects {
		var object any
		if err := yaml.Unmarshal(d.raw, &object); err != nil {
			t.Fatal(err)
		}
		all = append(all, shape(object))
	}
	return all
}

func shape(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key := range value {
			value[key] = shape(value[key])
		}
		return value
	case []any:
		for i := range value {
			value[i] = shape(value[i])
		}
		return value
	default:
		return fmt.Sprintf("%T", value)
	}
}

func TestANameThatLooksLikeSomethingElseIsAString(t *testing.T) {
	chart := firstInstallation(t)
	rendered := func(namespace string, values []string) []any {
		flags := []string{
			"--namespace=" + namespace, "--set=webhook.system.enabled=true", "--set=networkPolicy.enabled=true",
			"--set=monitoring.podMonitor.enabled=true", "--set=monitoring.rules.enabled=true", "--set=monitoring.dashboard.enabled=true",
		}
		for _, value := range values {
			flags = append(flags, "--set-string="+value)
		}
		manifest, err := helm(t, chart, "template", flags...)
		if err != nil {
			t.Fatal(err)
		}
		return shapes(t, parse(t, manifest))
	}
	for _, source := range []string{"self-managed", "cert-manager", "files"} {
		plain := []string{"certs.source=" + source, "fullnameOverride=a", "nameOverride=a", "certs.secretName=a", "webhook.clientCA=a", "priorityClassName=a"}
		odd := []string{"certs.source=" + source, "fullnameOverride=true", "nameOverride=null", "certs.secretName=123", "webhook.clientCA=123", "priorityClassName=123"}
		if source == "files" {
			plain, odd = append(plain, "webhook.caBundle=abcd"), append(odd, "webhook.caBundle=1234")
		}
		if diff := cmp.Diff(rendered("a", plain), rendered("123", odd)); diff != "" {
			t.Errorf("%s: kinds of values (-of plain names +of others):\n%s", source, diff)
		}
	}
}

// A Job that nobody waits for any more ends, and what runs where berth runs finds the API server as berth does.
func TestTheJobOfAnInstallationEndsAndRunsWhereBerthRuns(t *testing.T) {
	manifest, err := helm(t, firstInstallation(t), "template", "--namespace=berth-system", "--set=commonLabels.team=a", "--set=podLabels.a=b",
		"--set=networkPolicy.enabled=true", "--set=env[0].name=KUBERNETES_SERVICE_HOST", "--set=env[0].value=api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	objects := parse(t, manifest)
	if got := *find[admissionv1.MutatingWebhookConfiguration](t, objects, "MutatingWebhookConfiguration").Webhooks[0].FailurePolicy; got != admissionv1.Ignore {
		t.Errorf("failurePolicy is %s before berth answers", got)
	}
	for _, d := range objects {
		if _, isHook := d.Annotations["helm.sh/hook"]; !isHook {
			continue
		}
		// Uninstalling takes no hook away. The log of a Job that fails is read.
		want := "before-hook-creation,hook-succeeded,hook-failed"
		if d.Kind == "Job" {
			want = "before-hook-creation,hook-succeeded"
		}
		if got := d.Annotations["helm.sh/hook-delete-policy"]; got != want {
			t.Errorf("%s %s is deleted at %s, want %s", d.Kind, d.Name, got, want)
		}
	}
	type said struct {
		Deadline      *int64
		TTL           *int32
		Labels        map[string]string
		PriorityClass string
		Env           []corev1.EnvVar
	}
	job := find[batchv1.Job](t, objects, "Job").Spec
	pod := job.Template
	got := said{job.ActiveDeadlineSeconds, job.TTLSecondsAfterFinished, pod.Labels, pod.Spec.PriorityClassName, pod.Spec.Containers[0].Env}
	want := said{
		new(int64(600)), new(int32(600)), map[string]string{"app.kubernetes.io/name": "berth-enforce", "team": "a", "a": "b"},
		"system-cluster-critical", []corev1.EnvVar{{Name: "KUBERNETES_SERVICE_HOST", Value: "api.example.com"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the Job (-want +got):\n%s", diff)
	}
	if let := find[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy/berth-enforce").Spec.PodSelector.MatchLabels; pod.Labels["app.kubernetes.io/name"] != let["app.kubernetes.io/name"] {
		t.Errorf("the NetworkPolicy for the Job selects %v", let)
	}
}
