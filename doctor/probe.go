package doctor

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/api/v1alpha1"
)

const criticalClass = "system-node-critical"

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: v1alpha1.ProbeName}

// probePod keeps to the restricted Pod Security Standard, so that nothing else refuses it.
func probePod(class string) corev1.PodSpec {
	return corev1.PodSpec{
		PriorityClassName: class,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "never-stored", Image: "registry.k8s.io/pause:3.10",
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
}

// askAboutDaemonSet asks, by a dry run, what becomes of a DaemonSet. It returns which webhooks of berth have answered,
// by the warning that each gives.
func (c *Cluster) askAboutDaemonSet(ctx context.Context, namespace, class string) (answered []string, err error) {
	selected := map[string]string{"app": v1alpha1.ProbeName}
	ds := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.ProbeName},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selected},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selected}, Spec: probePod(class)},
		},
	}
	c.warnings.take()
	_, err = c.client.AppsV1().DaemonSets(namespace).Create(ctx, ds, dryRun)
	for _, warning := range c.warnings.take() {
		if introduction.MatchString(warning) {
			answered = append(answered, warning)
		}
	}
	slices.Sort(answered)
	return answered, err
}

// askAboutPod asks, by a dry run, what becomes of a Pod.
func (c *Cluster) askAboutPod(ctx context.Context, namespace, class string) (*corev1.Pod, error) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.ProbeName}, Spec: probePod(class)}
	return c.client.CoreV1().Pods(namespace).Create(ctx, pod, dryRun)
}
