package deploy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"berth.dev/berth/api/v1alpha1"
)

func TestManifestHoldsEveryObjectInTheOrderOfNeed(t *testing.T) {
	want := []string{
		"Namespace/berth-system",
		"CustomResourceDefinition/placementpolicies.berth.dev",
		"ResourceQuota/berth-critical-pods",
		"PodDisruptionBudget/berth",
		"ServiceAccount/berth",
		"Secret/berth-ca",
		"ClusterRole/berth",
		"ClusterRole/berth-view", "ClusterRole/berth-command-line",
		"ClusterRoleBinding/berth",
		"Role/berth",
		"RoleBinding/berth",
		"Service/berth",
		"Deployment/berth",
		"MutatingWebhookConfiguration/berth",
		"ValidatingWebhookConfiguration/berth",
		"ValidatingWebhookConfiguration/berth-policies",
		"PlacementPolicy/own-label",
	}
	var got []string
	for _, document := range documents(t) {
		got = append(got, document.Kind+"/"+document.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects of berth.yaml (-want +got):\n%s", diff)
	}
}

func TestManifestHasNoFieldThatTheAPIDoesNotKnow(t *testing.T) {
	decode[corev1.Namespace](t, "Namespace")
	decode[apiextensionsv1.CustomResourceDefinition](t, "CustomResourceDefinition")
	decode[corev1.ResourceQuota](t, "ResourceQuota")
	decode[policyv1.PodDisruptionBudget](t, "PodDisruptionBudget")
	decode[corev1.ServiceAccount](t, "ServiceAccount")
	decode[corev1.Secret](t, "Secret")
	decode[rbacv1.ClusterRole](t, "ClusterRole/berth")
	decode[rbacv1.ClusterRoleBinding](t, "ClusterRoleBinding")
	decode[rbacv1.Role](t, "Role")
	decode[rbacv1.RoleBinding](t, "RoleBinding")
	decode[corev1.Service](t, "Service")
	decode[appsv1.Deployment](t, "Deployment")
	decode[admissionv1.MutatingWebhookConfiguration](t, "MutatingWebhookConfiguration")
	decode[admissionv1.ValidatingWebhookConfiguration](t, "ValidatingWebhookConfiguration/berth")
	decode[v1alpha1.PlacementPolicy](t, "PlacementPolicy")
}

// The API server applies these, so they hold while every replica is down.
var (
	daemonSetWrites = []admissionv1.RuleWithOperations{{
		Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
		Rule: admissionv1.Rule{
			APIGroups:   []string{"apps"},
			APIVersions: []string{"v1"},
			Resources:   []string{"daemonsets"}, // never daemonsets/status
			Scope:       new(admissionv1.NamespacedScope),
		},
	}}
	outsideExcludedNamespaces = &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key:      "kubernetes.io/metadata.name",
			Operator: metav1.LabelSelectorOpNotIn,
			Values:   []string{"kube-system", "kube-public", "kube-node-lease", "berth-system"},
		}},
	}
	// Deletion never waits for berth, and only the stored object is believed to be on its way out.
	notBeingDeleted = admissionv1.MatchCondition{
		Name: "not-being-deleted", Expression: "oldObject == null || !has(oldObject.metadata.deletionTimestamp)",
	}
	notCritical = []admissionv1.MatchCondition{notBeingDeleted, {
		Name: "not-excluded-priority-class",
		Expression: `!(object.?spec.?template.?spec.?priorityClassName.orValue("") in ` +
			`["system-node-critical","system-cluster-critical"])`,
	}}
)

func TestMutatingWebhookKeepsTheRules(t *testing.T) {
	want := []admissionv1.MutatingWebhook{{
		Name:                    "mutate.berth.dev",
		ClientConfig:            serviceAt("/mutate-apps-v1-daemonset"),
		Rules:                   daemonSetWrites,
		FailurePolicy:           new(admissionv1.Fail),
		MatchPolicy:             new(admissionv1.Equivalent),
		NamespaceSelector:       outsideExcludedNamespaces,
		SideEffects:             new(admissionv1.SideEffectClassNone),
		TimeoutSeconds:          new(int32(5)),
		AdmissionReviewVersions: []string{"v1"},
		ReinvocationPolicy:      new(admissionv1.IfNeededReinvocationPolicy),
		MatchConditions:         notCritical,
	}}
	got := decode[admissionv1.MutatingWebhookConfiguration](t, "MutatingWebhookConfiguration").Webhooks
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mutating webhooks (-want +got):\n%s", diff)
	}
}

func TestValidatingWebhookKeepsTheRules(t *testing.T) {
	want := []admissionv1.ValidatingWebhook{{
		Name:                    "validate.berth.dev",
		ClientConfig:            serviceAt("/validate-apps-v1-daemonset"),
		Rules:                   daemonSetWrites,
		FailurePolicy:           new(admissionv1.Fail),
		MatchPolicy:             new(admissionv1.Equivalent),
		NamespaceSelector:       outsideExcludedNamespaces,
		SideEffects:             new(admissionv1.SideEffectClassNone),
		TimeoutSeconds:          new(int32(5)),
		AdmissionReviewVersions: []string{"v1"},
		MatchConditions:         notCritical,
	}}
	got := decode[admissionv1.ValidatingWebhookConfiguration](t, "ValidatingWebhookConfiguration/berth").Webhooks
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("validating webhooks (-want +got):\n%s", diff)
	}
}

func TestTheWebhookOfPoliciesStopsNoWriteWhenBerthIsDown(t *testing.T) {
	want := []admissionv1.ValidatingWebhook{{
		// A policy that does not compile is denied where berth can be asked, and can be written, and mended, where it cannot.
		Name:         "policies.berth.dev",
		ClientConfig: serviceAt("/validate-berth-dev-v1alpha1-placementpolicy"),
		Rules: []admissionv1.RuleWithOperations{{
			Operations: daemonSetWrites[0].Operations,
			Rule: admissionv1.Rule{
				APIGroups: []string{"berth.dev"}, APIVersions: []string{"v1alpha1"}, Resources: []string{"placementpolicies"},
				Scope: new(admissionv1.ClusterScope),
			},
		}},
		FailurePolicy:           new(admissionv1.Ignore),
		MatchPolicy:             new(admissionv1.Equivalent),
		SideEffects:             new(admissionv1.SideEffectClassNone),
		TimeoutSeconds:          new(int32(5)),
		AdmissionReviewVersions: []string{"v1"},
		MatchConditions:         []admissionv1.MatchCondition{notBeingDeleted},
	}}
	got := decode[admissionv1.ValidatingWebhookConfiguration](t, "ValidatingWebhookConfiguration/berth-policies").Webhooks
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("validating webhooks (-want +got):\n%s", diff)
	}
}

func TestServiceLeadsFromTheWebhooksToTheContainer(t *testing.T) {
	want := []corev1.ServicePort{{
		Name:       "webhook",
		Protocol:   corev1.ProtocolTCP,
		Port:       443,
		TargetPort: intstr.FromString("webhook"),
	}}
	service := decode[corev1.Service](t, "Service")
	if diff := cmp.Diff(want, service.Spec.Ports); diff != "" {
		t.Errorf("ports of the Service (-want +got):\n%s", diff)
	}

	template := decode[appsv1.Deployment](t, "Deployment").Spec.Template
	wantPorts := []corev1.ContainerPort{
		{Name: "webhook", ContainerPort: 9443, Protocol: corev1.ProtocolTCP},
		{Name: "metrics", ContainerPort: 8080, Protocol: corev1.ProtocolTCP},
		{Name: "health", ContainerPort: 8081, Protocol: corev1.ProtocolTCP},
	}
	if diff := cmp.Diff(wantPorts, template.Spec.Containers[0].Ports); diff != "" {
		t.Errorf("ports of the container (-want +got):\n%s", diff)
	}
	for key, value := range service.Spec.Selector {
		if template.Labels[key] != value {
			t.Errorf("the Service selects %s=%s, which berth's pods do not carry", key, value)
		}
	}
}

func TestPodsMeetTheRestrictedPodSecurityStandard(t *testing.T) {
	pod := decode[appsv1.Deployment](t, "Deployment").Spec.Template.Spec
	wantPod := &corev1.PodSecurityContext{
		RunAsNonRoot:   new(true),
		RunAsUser:      new(int64(65532)),
		RunAsGroup:     new(int64(65532)),
		FSGroup:        new(int64(65532)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if diff := cmp.Diff(wantPod, pod.SecurityContext); diff != "" {
		t.Errorf("security context of the pod (-want +got):\n%s", diff)
	}
	wantContainer := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	for _, container := range pod.Containers {
		if diff := cmp.Diff(wantContainer, container.SecurityContext); diff != "" {
			t.Errorf("security context of container %s (-want +got):\n%s", container.Name, diff)
		}
	}

	labels := decode[corev1.Namespace](t, "Namespace").Labels
	if got := labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("the namespace enforces the pod security standard %q, want restricted", got)
	}
}

func TestNeitherRolloutNorDrainTakesTheLastReplica(t *testing.T) {
	deployment := decode[appsv1.Deployment](t, "Deployment").Spec
	if diff := cmp.Diff(new(int32(2)), deployment.Replicas); diff != "" {
		t.Errorf("replicas (-want +got):\n%s", diff)
	}
	wantStrategy := &appsv1.RollingUpdateDeployment{
		MaxSurge:       new(intstr.FromInt32(1)),
		MaxUnavailable: new(intstr.FromInt32(0)),
	}
	if diff := cmp.Diff(wantStrategy, deployment.Strategy.RollingUpdate); diff != "" {
		t.Errorf("rolling update (-want +got):\n%s", diff)
	}

	alwaysAllow := policyv1.AlwaysAllow
	wantBudget := policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable:             new(intstr.FromInt32(1)),
		Selector:                   deployment.Selector,
		UnhealthyPodEvictionPolicy: &alwaysAllow,
	}
	if diff := cmp.Diff(wantBudget, decode[policyv1.PodDisruptionBudget](t, "PodDisruptionBudget").Spec); diff != "" {
		t.Errorf("disruption budget (-want +got):\n%s", diff)
	}
}

func TestBerthMayReadWhatItNeedsAndWriteOnlyWhatIsItsOwn(t *testing.T) {
	want := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"apps"}, Resources: []string{"daemonsets"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		{APIGroups: []string{"berth.dev"}, Resources: []string{"placementpolicies"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"berth.dev"}, Resources: []string{"placementpolicies/status"}, Verbs: []string{"update"}},
		{
			APIGroups:     []string{"admissionregistration.k8s.io"},
			Resources:     []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"},
			ResourceNames: []string{"berth"},
			Verbs:         []string{"list", "patch", "watch"},
		},
		{
			APIGroups:     []string{"admissionregistration.k8s.io"},
			Resources:     []string{"validatingwebhookconfigurations"},
			ResourceNames: []string{"berth-policies"},
			Verbs:         []string{"list", "patch", "watch"},
		},
	}
	if diff := cmp.Diff(want, decode[rbacv1.ClusterRole](t, "ClusterRole/berth").Rules); diff != "" {
		t.Errorf("rules of the ClusterRole (-want +got):\n%s", diff)
	}
	wantOwnNamespace := []rbacv1.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create", "delete", "list", "patch", "watch"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{"berth"}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"berth-ca"}, Verbs: []string{"create", "get", "list", "patch", "update", "watch"}},
	}
	if diff := cmp.Diff(wantOwnNamespace, decode[rbacv1.Role](t, "Role").Rules); diff != "" {
		t.Errorf("rules of the Role (-want +got):\n%s", diff)
	}
}

func TestDefaultPolicyIsTheReadyMadeOne(t *testing.T) {
	want := readPolicy(t, "policies/own-label.yaml").Spec
	if diff := cmp.Diff(want, decode[v1alpha1.PlacementPolicy](t, "PlacementPolicy").Spec); diff != "" {
		t.Errorf("policy own-label (-want +got):\n%s", diff)
	}
}

func TestWhatBerthWritesIsNotInTheManifest(t *testing.T) {
	// Or helm upgrade and kubectl apply would take it back. The tests of the webhooks say the same of caBundle.
	secret := decode[corev1.Secret](t, "Secret")
	if len(secret.Data)+len(secret.StringData) > 0 {
		t.Errorf("the Secret %s has data", secret.Name)
	}
}

// serviceAt is berth's Service at a path; berth writes caBundle.
func serviceAt(path string) admissionv1.WebhookClientConfig {
	return admissionv1.WebhookClientConfig{
		Service: &admissionv1.ServiceReference{
			Namespace: "berth-system",
			Name:      "berth",
			Path:      &path,
			Port:      new(int32(443)),
		},
	}
}
