package deploy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"berth.dev/berth/e2e/apiserver"
)

func TestMain(m *testing.M) { apiserver.Main(m) }

// warnings are those of the API server.
type warnings []string

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) { *w = append(*w, text) }

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}

// restricted is a real API server that enforces the Pod Security Standard restricted in berth's namespace, and warns of
// what it will not admit.
func restricted(t *testing.T) (kubernetes.Interface, *warnings) {
	t.Helper()
	said := &warnings{}
	config := rest.CopyConfig(apiserver.Config(t))
	config.WarningHandler = said
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	namespace := decode[corev1.Namespace](t, "Namespace")
	namespace.Labels["pod-security.kubernetes.io/warn"] = "restricted"
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return client, said
}

// podOf is the Pod that the Deployment's controllers would make.
func podOf(deployment *appsv1.Deployment) *corev1.Pod {
	template := deployment.Spec.Template
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.GenerateName, pod.Namespace = "berth-", deployment.Namespace
	return pod
}

func TestTheAPIServerAdmitsThePodsWhereItEnforcesTheRestrictedStandard(t *testing.T) {
	client, said := restricted(t)
	everything := []string{"networkPolicy.enabled=true", "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring", "webhook.clientCA=mine"}
	for _, source := range []string{"self-managed", "cert-manager", "files"} {
		t.Run(source, func(t *testing.T) {
			objects, err := render(t, append(everything, "certs.source="+source)...)
			if err != nil {
				t.Fatal(err)
			}
			deployment := find[appsv1.Deployment](t, objects, "Deployment")
			if _, err := client.CoreV1().Pods(deployment.Namespace).Create(t.Context(), podOf(&deployment), dryRun); err != nil {
				t.Error(err)
			}
			if _, err := client.AppsV1().Deployments(deployment.Namespace).Create(t.Context(), &deployment, dryRun); err != nil {
				t.Error(err)
			}
			policy := find[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy")
			if _, err := client.NetworkingV1().NetworkPolicies(policy.Namespace).Create(t.Context(), &policy, dryRun); err != nil {
				t.Error(err)
			}
		})
	}
	if diff := cmp.Diff(warnings{}, *said); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestTheAPIServerWouldNotAdmitPodsThatMayRunAsRoot(t *testing.T) {
	client, said := restricted(t)
	deployment := decode[appsv1.Deployment](t, "Deployment")
	deployment.Spec.Template.Spec.SecurityContext.RunAsNonRoot = new(false)
	_, err := client.CoreV1().Pods(deployment.Namespace).Create(t.Context(), podOf(&deployment), dryRun)
	if err == nil || !strings.Contains(err.Error(), "runAsNonRoot != true") {
		t.Errorf("the Pod: %v", err)
	}
	if _, err := client.AppsV1().Deployments(deployment.Namespace).Create(t.Context(), &deployment, dryRun); err != nil {
		t.Error(err)
	}
	want := warnings{`would violate PodSecurity "restricted:latest": runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)`}
	if diff := cmp.Diff(want, *said); diff != "" {
		t.Errorf("warnings of the Deployment (-want +got):\n%s", diff)
	}
}
