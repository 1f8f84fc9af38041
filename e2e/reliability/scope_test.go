package reliability_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// unseen is a kind of writes that berth has no say in.
type unseen struct {
	kind  string
	write func(i int) error // the one with number i
}

// outOfScope are those kinds. The DaemonSets would be in scope but for what their kind says.
func outOfScope(t *testing.T, namespace string) []unseen {
	t.Helper()
	ctx, apps, core := t.Context(), cp.Client.AppsV1(), cp.Client.CoreV1()
	create, patch := metav1.CreateOptions{}, metav1.PatchOptions{}
	named := func(i int) metav1.ObjectMeta { return metav1.ObjectMeta{Name: fmt.Sprintf("out-of-scope-%d", i)} }
	label := func(i int) []byte { return fmt.Appendf(nil, `{"metadata":{"labels":{"turn":"%d"}}}`, i) }
	daemonSets := func(namespace, priorityClass string) func(int) error {
		return func(i int) error {
			ds := daemonSet(t)
			ds.ObjectMeta = named(i)
			ds.Spec.Template.Spec.PriorityClassName = priorityClass
			ds.Spec.Template.Spec.NodeSelector = map[string]string{"no": "node"}
			_, err := apps.DaemonSets(namespace).Create(ctx, ds, create)
			return err
		}
	}
	return []unseen{
		{"DaemonSets of kube-system", daemonSets("kube-system", "")},
		{"DaemonSets of berth-system", daemonSets("berth-system", "")},
		{"DaemonSets of a critical PriorityClass", daemonSets(namespace, "system-node-critical")},
		{"the status of DaemonSets", func(int) error {
			_, err := apps.DaemonSets(namespace).Patch(ctx, "out-of-scope-0", types.MergePatchType, []byte(`{"status":{"numberReady":0}}`), patch, "status")
			return err
		}},
		{"nodes", func(i int) error {
			_, err := core.Nodes().Patch(ctx, "host", types.MergePatchType, label(i), patch)
			return err
		}},
		{"namespaces", func(i int) error {
			_, err := core.Namespaces().Patch(ctx, namespace, types.MergePatchType, label(i), patch)
			return err
		}},
		{"Leases", func(i int) error {
			_, err := cp.Client.CoordinationV1().Leases(namespace).Create(ctx, &coordinationv1.Lease{ObjectMeta: named(i)}, create)
			return err
		}},
		{"ConfigMaps", func(i int) error {
			_, err := core.ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: named(i)}, create)
			return err
		}},
		{"Deployments", func(i int) error {
			ds := daemonSet(t)
			_, err := apps.Deployments(namespace).Create(ctx, &appsv1.Deployment{
				ObjectMeta: named(i),
				Spec:       appsv1.DeploymentSpec{Replicas: new(int32), Selector: ds.Spec.Selector, Template: ds.Spec.Template},
			}, create)
			return err
		}},
		{"berth's own Deployment", func(i int) error {
			_, err := apps.Deployments("berth-system").Patch(ctx, "berth", types.MergePatchType, label(i), patch)
			return err
		}},
	}
}
