package deploy

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestALeavingReplicaHasTheTimeToAnswerWhoHasNotHeard(t *testing.T) {
	pod := decode[appsv1.Deployment](t, "Deployment").Spec.Template.Spec
	// berth drains for 20 s at most, and the preStop hook comes before that.
	const drain, spare = 20, 5
	preStop := &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}
	if diff := cmp.Diff(&corev1.Lifecycle{PreStop: preStop}, pod.Containers[0].Lifecycle); diff != "" {
		t.Errorf("lifecycle (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(new(preStop.Sleep.Seconds+drain+spare), pod.TerminationGracePeriodSeconds); diff != "" {
		t.Errorf("terminationGracePeriodSeconds (-want +got):\n%s", diff)
	}
	if decode[corev1.Service](t, "Service").Spec.PublishNotReadyAddresses {
		t.Error("the Service leads to replicas that are not ready")
	}
}

func TestTheTokenIsShortLivedAndMountedByNothingButItsVolume(t *testing.T) {
	account := decode[corev1.ServiceAccount](t, "ServiceAccount")
	pod := decode[appsv1.Deployment](t, "Deployment").Spec.Template.Spec
	for what, automount := range map[string]*bool{"ServiceAccount": account.AutomountServiceAccountToken, "Pod": pod.AutomountServiceAccountToken} {
		if diff := cmp.Diff(new(false), automount); diff != "" {
			t.Errorf("automountServiceAccountToken of the %s (-want +got):\n%s", what, diff)
		}
	}
	wantVolumes := []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: new(int32(0o444)),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(3600))}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}},
			}}},
		},
	}}}}
	if diff := cmp.Diff(wantVolumes, pod.Volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	wantMounts := []corev1.VolumeMount{{Name: "token", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}}
	if diff := cmp.Diff(wantMounts, pod.Containers[0].VolumeMounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}

func TestTheNetworkPolicyLetsReviewsInAndBerthOutToTheAPIServer(t *testing.T) {
	objects, err := render(t, "networkPolicy.enabled=true", "networkPolicy.apiServerPorts={16443}",
		"networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring")
	if err != nil {
		t.Fatal(err)
	}
	port := func(port intstr.IntOrString) []networkingv1.NetworkPolicyPort {
		return []networkingv1.NetworkPolicyPort{{Port: &port, Protocol: new(corev1.ProtocolTCP)}}
	}
	monitoring := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "monitoring"}}}
	want := networkingv1.NetworkPolicySpec{
		PodSelector: *find[appsv1.Deployment](t, objects, "Deployment").Spec.Selector,
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{
			{Ports: port(intstr.FromString("webhook"))},
			{Ports: port(intstr.FromString("metrics")), From: []networkingv1.NetworkPolicyPeer{monitoring}},
		},
		Egress: []networkingv1.NetworkPolicyEgressRule{{Ports: port(intstr.FromInt32(16443))}},
	}
	if diff := cmp.Diff(want, find[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy/berth").Spec); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want.PodSelector.MatchLabels, want.Ingress = map[string]string{"app.kubernetes.io/name": "berth-enforce"}, nil
	if diff := cmp.Diff(want, find[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy/berth-enforce").Spec); diff != "" {
		t.Errorf("of the Job (-want +got):\n%s", diff)
	}
}

// A rule without "from" means everybody.
func TestTheNetworkPolicyLetsNobodyReadTheMetricsUnlessSaid(t *testing.T) {
	objects, err := render(t, "networkPolicy.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	rules := find[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy").Spec.Ingress
	if len(rules) != 1 || rules[0].Ports[0].Port.String() != "webhook" {
		t.Errorf("ingress: %v", rules)
	}
}

func TestAClientCAMakesBerthAskForCertificates(t *testing.T) {
	objects, err := render(t, "webhook.clientCA=api-server-ca", "webhook.clientAllowedNames={front-proxy,kube-apiserver #1}")
	if err != nil {
		t.Fatal(err)
	}
	pod := find[appsv1.Deployment](t, objects, "Deployment").Spec.Template.Spec
	for _, want := range []string{"--client-ca-file=/etc/berth/client-ca/ca.crt", "--client-allowed-names=front-proxy,kube-apiserver #1"} {
		if !slices.Contains(pod.Containers[0].Args, want) {
			t.Errorf("%s is not among the arguments %q", want, pod.Containers[0].Args)
		}
	}
	wantVolume := corev1.Volume{Name: "client-ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "api-server-ca"},
		Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
	}}}
	if diff := cmp.Diff(wantVolume, pod.Volumes[len(pod.Volumes)-1]); diff != "" {
		t.Errorf("volume (-want +got):\n%s", diff)
	}
	wantMount := corev1.VolumeMount{Name: "client-ca", MountPath: "/etc/berth/client-ca", ReadOnly: true}
	mounts := pod.Containers[0].VolumeMounts
	if diff := cmp.Diff(wantMount, mounts[len(mounts)-1]); diff != "" {
		t.Errorf("mount (-want +got):\n%s", diff)
	}
	if _, err := render(t, "webhook.clientAllowedNames={front-proxy}"); err == nil {
		t.Error("names without a CA that signs them are accepted, and would let anybody in")
	}
}
