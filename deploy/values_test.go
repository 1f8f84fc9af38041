package deploy

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

func TestTheSystemTierIsWhatTheOrdinaryOneLeavesOutButBerthsOwnNamespace(t *testing.T) {
	objects, err := render(t, "webhook.system.enabled=true", "webhook.namespaceSelector.matchLabels.team=a")
	if err != nil {
		t.Fatal(err)
	}
	want := admissionv1.ValidatingWebhook{
		Name:          "validate.system.berth.dev",
		ClientConfig:  serviceAt("/validate-best-effort-apps-v1-daemonset"),
		Rules:         daemonSetWrites,
		FailurePolicy: new(admissionv1.Ignore),
		MatchPolicy:   new(admissionv1.Equivalent),
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"berth-system"},
		}}},
		SideEffects:             new(admissionv1.SideEffectClassNone),
		TimeoutSeconds:          new(int32(1)),
		AdmissionReviewVersions: []string{"v1"},
		MatchConditions: []admissionv1.MatchCondition{notBeingDeleted, {
			Name: "excluded-from-the-ordinary-tier",
			Expression: `request.namespace in ["kube-system","kube-public","kube-node-lease"] || ` +
				`object.?spec.?template.?spec.?priorityClassName.orValue("") in ["system-node-critical","system-cluster-critical"]`,
		}},
	}
	validating := find[admissionv1.ValidatingWebhookConfiguration](t, objects, "ValidatingWebhookConfiguration/berth-system").Webhooks
	if diff := cmp.Diff([]admissionv1.ValidatingWebhook{want}, validating); diff != "" {
		t.Errorf("the validating webhook (-want +got):\n%s", diff)
	}
	mutating := find[admissionv1.MutatingWebhookConfiguration](t, objects, "MutatingWebhookConfiguration/berth-system").Webhooks
	wantMutating := admissionv1.MutatingWebhook{
		Name: "mutate.system.berth.dev", ClientConfig: serviceAt("/mutate-apps-v1-daemonset"), Rules: want.Rules,
		FailurePolicy: want.FailurePolicy, MatchPolicy: want.MatchPolicy, NamespaceSelector: want.NamespaceSelector,
		SideEffects: want.SideEffects, TimeoutSeconds: want.TimeoutSeconds, AdmissionReviewVersions: want.AdmissionReviewVersions,
		MatchConditions: want.MatchConditions, ReinvocationPolicy: new(admissionv1.NeverReinvocationPolicy),
	}
	if diff := cmp.Diff([]admissionv1.MutatingWebhook{wantMutating}, mutating); diff != "" {
		t.Errorf("the mutating webhook (-want +got):\n%s", diff)
	}

	selected := outsideExcludedNamespaces.DeepCopy()
	selected.MatchLabels = map[string]string{"team": "a"}
	if diff := cmp.Diff(selected, find[admissionv1.MutatingWebhookConfiguration](t, objects, "MutatingWebhookConfiguration/berth").Webhooks[0].NamespaceSelector); diff != "" {
		t.Errorf("namespaceSelector of the ordinary tier (-want +got):\n%s", diff)
	}
	arguments := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec.Containers[0].Args
	for _, want := range []string{"--system-tier", `--namespace-selector={"matchLabels":{"team":"a"}}`} {
		if !slices.Contains(arguments, want) {
			t.Errorf("the audit is not told %s: %q", want, arguments)
		}
	}
}

func TestEveryObjectButThePolicyFollowsTheNamesAndLabelsOfTheValues(t *testing.T) {
	for _, source := range []string{"self-managed", "cert-manager"} {
		objects, err := render(t, "certs.source="+source, "certs.secretName=harbour-tls", "fullnameOverride=harbour", "nameOverride=placement",
			"commonLabels.team=a", "commonAnnotations.owner=b", "networkPolicy.enabled=true")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range objects {
			wantLabels := map[string]string{"app.kubernetes.io/name": "placement", "app.kubernetes.io/version": "0.1.0", "team": "a"}
			for key := range d.Labels {
				if strings.HasPrefix(key, "rbac.authorization.k8s.io/") {
					delete(d.Labels, key)
				}
			}
			if diff := cmp.Diff(wantLabels, d.Labels); diff != "" {
				t.Errorf("labels of %s %s (-want +got):\n%s", d.Kind, d.Name, diff)
			}
			if d.Annotations["owner"] != "b" {
				t.Errorf("annotations of %s %s: %v", d.Kind, d.Name, d.Annotations)
			}
			if !strings.HasPrefix(d.Name, "harbour") && d.Kind != "PlacementPolicy" {
				t.Errorf("%s is called %s", d.Kind, d.Name)
			}
			if strings.Contains(string(d.raw), "name: berth\n") && d.Kind != "Deployment" { // its container
				t.Errorf("%s %s names an object berth:\n%s", d.Kind, d.Name, d.raw)
			}
		}
	}
}

// A key that is there twice is an error of the API server.
func TestALabelThatIsSetTwiceIsThereOnceAndBerthsOwnWin(t *testing.T) {
	objects, err := render(t, "monitoring.podMonitor.enabled=true", "monitoring.podMonitor.labels.team=c",
		"commonLabels.team=a", "podLabels.team=b", `commonLabels.app\.kubernetes\.io/name=other`, `podLabels.app\.kubernetes\.io/name=other`,
		`commonLabels.app\.kubernetes\.io/version=other`, `commonLabels.rbac\.authorization\.k8s\.io/aggregate-to-view=no`,
		`podAnnotations.kubectl\.kubernetes\.io/default-container=sidecar`)
	if err != nil {
		t.Fatal(err)
	}
	own := func(team string) map[string]string {
		return map[string]string{"app.kubernetes.io/name": "berth", "app.kubernetes.io/version": "0.1.0", "team": team}
	}
	for _, d := range objects {
		if err := yaml.UnmarshalStrict(d.raw, &map[string]any{}); err != nil {
			t.Errorf("%s %s: %v", d.Kind, d.Name, err)
		}
		want := own("a")
		if d.Kind == "PodMonitor" {
			want = own("c")
		}
		want["rbac.authorization.k8s.io/aggregate-to-view"] = "no"
		if d.Name == "berth-view" {
			for _, role := range []string{"admin", "edit", "view"} {
				want["rbac.authorization.k8s.io/aggregate-to-"+role] = "true"
			}
		}
		if diff := cmp.Diff(want, d.Labels); diff != "" {
			t.Errorf("labels of %s %s (-want +got):\n%s", d.Kind, d.Name, diff)
		}
	}
	pod := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template
	want := own("b")
	want["rbac.authorization.k8s.io/aggregate-to-view"] = "no"
	if diff := cmp.Diff(want, pod.Labels); diff != "" {
		t.Errorf("labels of a pod (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"kubectl.kubernetes.io/default-container": "sidecar"}, pod.Annotations); diff != "" {
		t.Errorf("annotations of a pod (-want +got):\n%s", diff)
	}
}

func TestTheNotesNameTheDeployment(t *testing.T) {
	output, err := helm(t, "chart", "install", "--namespace=berth-system", "--dry-run=client", "--set=fullnameOverride=harbour")
	if err != nil {
		t.Fatal(err)
	}
	_, notes, _ := strings.Cut(string(output), "\nNOTES:\n")
	if want := "kubectl -n berth-system rollout status deployment/harbour\n"; !strings.Contains(notes, want) {
		t.Errorf("the notes lack %q:\n%s", want, notes)
	}
}

func TestAPodIsWhatTheValuesSay(t *testing.T) {
	objects, err := render(t, "image.repository=r.example.com/berth", "image.digest=sha256:"+strings.Repeat("0", 64),
		"podLabels.a=b", "podAnnotations.c=d", "hostNetwork=true", "ports.webhook=10250", "service.port=8443", "service.annotations.e=f",
		"extraArgs={--log-level=debug}", "env[0].name=GOGC", "env[0].value=50", "revisionHistoryLimit=0",
		"affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=1",
		"podSecurityContext.runAsNonRoot=true", "securityContext.readOnlyRootFilesystem=true")
	if err != nil {
		t.Fatal(err)
	}
	deployment := find[appsv1.Deployment](t, objects, "Deployment").Spec
	pod, container := deployment.Template.Spec, deployment.Template.Spec.Containers[0]
	service := find[corev1.Service](t, objects, "Service")
	webhooks := find[admissionv1.MutatingWebhookConfiguration](t, objects, "MutatingWebhookConfiguration").Webhooks
	type said struct {
		Image, PodLabel, PodAnnotation, ServiceAnnotation, LastArgument string
		Env                                                             []corev1.EnvVar
		HostNetwork                                                     bool
		Ports                                                           []int32
		RevisionHistoryLimit                                            int32
		Update                                                          appsv1.RollingUpdateDeployment
		Weight                                                          int32
		PodSecurity                                                     corev1.PodSecurityContext
		Security                                                        corev1.SecurityContext
	}
	got := said{
		container.Image, deployment.Template.Labels["a"], deployment.Template.Annotations["c"], service.Annotations["e"], container.Args[len(container.Args)-1],
		container.Env, pod.HostNetwork, []int32{container.Ports[0].ContainerPort, service.Spec.Ports[0].Port, *webhooks[0].ClientConfig.Service.Port},
		*deployment.RevisionHistoryLimit, *deployment.Strategy.RollingUpdate,
		pod.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].Weight, *pod.SecurityContext, *container.SecurityContext,
	}
	ofPod := func(field string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: field}}
	}
	want := said{
		"r.example.com/berth@sha256:" + strings.Repeat("0", 64), "b", "d", "f", "--log-level=debug",
		[]corev1.EnvVar{
			{Name: "POD_NAME", ValueFrom: ofPod("metadata.name")}, {Name: "POD_UID", ValueFrom: ofPod("metadata.uid")}, {Name: "GOGC", Value: "50"},
		}, true, []int32{10250, 8443, 8443},
		0, appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromInt32(0)), MaxUnavailable: new(intstr.FromInt32(1))},
		1, corev1.PodSecurityContext{RunAsNonRoot: new(true)}, corev1.SecurityContext{ReadOnlyRootFilesystem: new(true)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.Contains(container.Args, "--webhook-bind-address=:10250") {
		t.Errorf("berth does not listen at the port of the values: %q", container.Args)
	}
}

func TestWhoeverMayViewTheClusterMayReadPoliciesAndNobodyMayWriteThem(t *testing.T) {
	role := decode[rbacv1.ClusterRole](t, "ClusterRole/berth-view")
	want := []rbacv1.PolicyRule{{APIGroups: []string{"berth.dev"}, Resources: []string{"placementpolicies"}, Verbs: []string{"get", "list", "watch"}}}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	objects, err := render(t, "rbac.aggregate=false")
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(objects, func(d document) bool { return d.Name == "berth-view" }) {
		t.Error("the role is there, though the values say no")
	}
}

// helm upgrade --reuse-values has no values that the chart of the release did not have.
func TestTheChartBearsThatNewValuesAreMissing(t *testing.T) {
	content, err := os.ReadFile("chart/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(content, &values); err != nil {
		t.Fatal(err)
	}
	// Those of the first chart, commit d7127c2. What was not there may be missing.
	first := map[string][]string{
		"image": {"repository", "tag", "pullPolicy"}, "imagePullSecrets": nil, "replicas": nil, "priorityClassName": nil, "resources": nil,
		"nodeSelector": nil, "tolerations": nil, "log": {"format", "level"}, "certs": {"source", "secretName", "minVersion"},
		"webhook":       {"caBundle", "failurePolicy", "timeoutSeconds", "excludedNamespaces", "excludedPriorityClasses", "clientCA", "clientAllowedNames"},
		"networkPolicy": {"enabled", "metricsFrom", "apiServerPorts"}, "ownLabelPolicy": {"enabled"},
	}
	var missing []string
	for name, value := range values {
		inner, known := first[name]
		if !known {
			missing = append(missing, name+"=null")
			continue
		}
		for key := range asMap(value) {
			if inner != nil && !slices.Contains(inner, key) {
				missing = append(missing, name+"."+key+"=null")
			}
		}
	}
	if len(missing) < 10 {
		t.Fatalf("only %v are new", missing)
	}
	want, err := render(t)
	if err != nil {
		t.Fatal(err)
	}
	got, err := render(t, missing...)
	if err != nil {
		t.Fatalf("without the values that are new: %v", err)
	}
	text := func(objects []document) (all []string) {
		for _, d := range objects {
			all = append(all, string(d.raw))
		}
		return all
	}
	if diff := cmp.Diff(text(want), text(got)); diff != "" {
		t.Errorf("the defaults of values.yaml are not those of the templates (-with +without):\n%s", diff)
	}
}

func asMap(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}
