package webhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"berth.dev/berth/placement"
)

// shipped is a DaemonSet as people ship them: a log shipper of so many containers, or one small one for 0, as the API server holds it, defaults and
// managedFields included.
func shipped(containers int) *appsv1.DaemonSet {
	labels := map[string]string{"app.kubernetes.io/name": "log-shipper", "app.kubernetes.io/instance": "logging"}
	ds := &appsv1.DaemonSet{
		TypeMeta: metav1.TypeMeta{Kind: "DaemonSet", APIVersion: "apps/v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "log-shipper", Namespace: "default", UID: "0b9f2a54-5a3e-4d6e-9f0b-7b5e7a1f3f10", ResourceVersion: "81234", Generation: 3,
			Labels: map[string]string{
				"app.kubernetes.io/name": "log-shipper", "app.kubernetes.io/instance": "logging",
				"app.kubernetes.io/version": "3.2.1", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "log-shipper-0.48.0",
			},
			Annotations: map[string]string{
				"deprecated.daemonset.template.generation": "3", "meta.helm.sh/release-name": "logging", "meta.helm.sh/release-namespace": "default",
			},
		},
	}
	ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	ds.Spec.RevisionHistoryLimit = new(int32(10))
	ds.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{
		Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: new(intstr.FromString("10%")), MaxSurge: new(intstr.FromInt32(0))},
	}
	ds.Spec.Template.Labels = labels
	ds.Spec.Template.Annotations = map[string]string{"checksum/config": "3d5f0c5f5e6f3c1bb6b7a3f1d3b8f10c6f4ad9a0d0a9f2b7e3c4f8b1a2d3e4f5"}
	ds.Spec.Template.Spec = shippedPod(containers)
	ds.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "helm", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "apps/v1",
		Time: &metav1.Time{}, FieldsType: "FieldsV1", FieldsV1: managedFields(ds),
	}}
	return ds
}

func shippedPod(containers int) corev1.PodSpec {
	pod := corev1.PodSpec{
		ServiceAccountName: "log-shipper", DeprecatedServiceAccount: "log-shipper", HostNetwork: true, DNSPolicy: corev1.DNSClusterFirstWithHostNet,
		RestartPolicy: corev1.RestartPolicyAlways, SchedulerName: "default-scheduler", TerminationGracePeriodSeconds: new(int64(30)),
		SecurityContext: &corev1.PodSecurityContext{},
		Tolerations: []corev1.Toleration{
			{Key: "node-role.kubernetes.io/control-plane", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule},
			{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
		},
		Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
				{Key: "kubernetes.io/os", Operator: corev1.NodeSelectorOpIn, Values: []string{"linux"}},
			}}},
		}}},
	}
	for _, path := range []string{"/var/log", "/var/lib/docker/containers", "/etc/machine-id", "/run/log/journal"} {
		pod.Volumes = append(pod.Volumes, corev1.Volume{
			Name:         fmt.Sprintf("host-%d", len(pod.Volumes)),
			VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: new(corev1.HostPathUnset)}},
		})
	}
	if containers == 0 {
		pod.Volumes = pod.Volumes[:1]
		pod.Containers = []corev1.Container{plainContainer(0, pod.Volumes)}
	}
	for i := range containers {
		pod.Containers = append(pod.Containers, shippedContainer(i, pod.Volumes))
	}
	return pod
}

func shippedContainer(i int, volumes []corev1.Volume) corev1.Container {
	container := plainContainer(i, volumes)
	container.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 2020, HostPort: 2020, Protocol: corev1.ProtocolTCP}}
	container.LivenessProbe = &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}},
		TimeoutSeconds:   1,
		PeriodSeconds:    10,
		SuccessThreshold: 1,
		FailureThreshold: 3,
	}
	container.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: new(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	for _, name := range []string{"NODE_NAME", "POD_IP", "OUTPUT_HOST"} {
		container.Env = append(container.Env, corev1.EnvVar{
			Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "spec.nodeName"}},
		})
	}
	return container
}

func plainContainer(i int, volumes []corev1.Volume) corev1.Container {
	container := corev1.Container{
		Name: fmt.Sprintf("shipper-%d", i), Image: "registry.example.com/observability/log-shipper:3.2.1@sha256:6bd7a1d3c2e4", ImagePullPolicy: corev1.PullIfNotPresent,
		Command: []string{"/fluent-bit/bin/fluent-bit"}, Args: []string{"--workdir=/fluent-bit/etc", "--config=/fluent-bit/etc/conf/fluent-bit.conf", "--storage=/var/log/flb"},
		TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		Env: []corev1.EnvVar{{Name: "FILTER", Value: `kubernetes "merge_log" On \ tag kube.*`}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
		},
	}
	for _, volume := range volumes {
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: volume.Name, MountPath: volume.HostPath.Path, ReadOnly: true})
	}
	return container
}

// managedFields lists every field of the object, as the API server does for the manager that wrote them all.
func managedFields(ds *appsv1.DaemonSet) *metav1.FieldsV1 {
	untyped, err := runtime.DefaultUnstructuredConverter.ToUnstructured(ds)
	utilruntime.Must(err)
	return metav1.NewFieldsV1(string(encoded(fieldsOf(untyped))))
}

func fieldsOf(value any) map[string]any {
	fields := map[string]any{}
	switch v := value.(type) {
	case map[string]any:
		fields["."] = map[string]any{}
		for key, child := range v {
			fields["f:"+key] = fieldsOf(child)
		}
	case []any:
		for _, child := range v {
			if named, ok := child.(map[string]any); ok && named["name"] != nil {
				fields[fmt.Sprintf(`k:{"name":%q}`, named["name"])] = fieldsOf(child)
			}
		}
	}
	return fields
}

func encoded(value any) []byte {
	out, err := json.Marshal(value)
	utilruntime.Must(err)
	return out
}

// shippedReview is the creation of a shipped DaemonSet, or an update of one whose image changes.
func shippedReview(containers int, update bool) []byte {
	ds := shipped(containers)
	if !update {
		return []byte(createReview(string(encoded(ds))))
	}
	old := string(encoded(ds))
	ds.Spec.Template.Spec.Containers[0].Image = "registry.example.com/observability/log-shipper:3.3.0"
	return []byte(updateReview(string(encoded(ds)), old))
}

// placedReview is an update whose image changes, of a shipped DaemonSet that own-label has placed.
func placedReview(containers int) []byte {
	ds := shipped(containers)
	added := map[string]string{}
	for key, value := range ds.Spec.Selector.MatchLabels {
		if _, has := ds.Spec.Template.Spec.NodeSelector[key]; !has {
			added[key] = value
		}
	}
	placed := maps.Clone(added)
	maps.Copy(placed, ds.Spec.Template.Spec.NodeSelector)
	ds.Spec.Template.Spec.NodeSelector = placed
	metav1.SetMetaDataAnnotation(&ds.ObjectMeta, placement.InjectedAnnotation,
		`{"version":2,"policies":{"own-label":{"nodeSelector":`+string(encoded(added))+`}}}`)
	old := string(encoded(ds))
	ds.Spec.Template.Spec.Containers[0].Image = "registry.example.com/observability/log-shipper:3.3.0"
	return []byte(updateReview(string(encoded(ds)), old))
}

func TestShippedReviewsAreOfTheSizesThatTheBenchmarksNameAndGetAPatch(t *testing.T) {
	facts := newFacts(t, ownLabel)
	for _, r := range benchReviews {
		body := r.body()
		if size := float64(len(body)) / float64(r.bytes); size < 0.95 || size > 1.05 {
			t.Errorf("%s is of %d bytes", r.name, len(body))
		}
		if got := decided(t, facts, body); len(got.Patch) == 0 {
			t.Errorf("%s gets no patch: %v", r.name, got)
		}
	}
}
