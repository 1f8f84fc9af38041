package main

import (
	"fmt"
	"io"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/manifests"
	"berth.dev/berth/placement"
	"berth.dev/berth/report"
)

// crowd is a cluster with a pod of each DaemonSet on each node that it selects: a third of the DaemonSets selects everything.
func crowd(b *testing.B, nodes, daemonSets int) *mapFacts {
	b.Helper()
	f := &mapFacts{title: "crowd", at: time.Unix(1800000000, 0), pods: map[types.UID][]*corev1.Pod{}}
	policy := v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: "own-label"}}
	policy.Spec.NodeSelectorFrom = []v1alpha1.NodeSelectorSource{{Type: v1alpha1.NodeSelectorFromWorkloadSelector}}
	f.set.Policies = []manifests.Policy{{Object: policy}}
	for n := range nodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("ip-10-0-%d-%d.internal", n/256, n%256), Labels: map[string]string{
			"karpenter.sh/nodepool": fmt.Sprintf("pool-%d", n%9), corev1.LabelTopologyZone: fmt.Sprintf("eu-1%c", 'a'+rune(n%3)),
			corev1.LabelHostname: fmt.Sprint(n), corev1.LabelOSStable: "linux",
		}}}
		if n%9 == 0 {
			node.Spec.Taints = []corev1.Taint{{Key: "nvidia.com/gpu", Effect: corev1.TaintEffectNoSchedule}}
		}
		f.set.Nodes = append(f.set.Nodes, node)
	}
	for d := range daemonSets {
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("daemon-%d", d), Namespace: fmt.Sprintf("team-%d", d%20), UID: types.UID(fmt.Sprint(d))}}
		ds.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": ds.Name}}
		ds.Spec.Template.Labels = ds.Spec.Selector.MatchLabels
		ds.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")}}}}
		if d%3 > 0 {
			ds.Spec.Template.Spec.NodeSelector = map[string]string{"karpenter.sh/nodepool": fmt.Sprintf("pool-%d", d%9)}
		}
		if err := f.add(ds); err != nil {
			b.Fatal(err)
		}
		for n, node := range f.set.Nodes {
			if pool := ds.Spec.Template.Spec.NodeSelector["karpenter.sh/nodepool"]; pool != "" && pool != node.Labels["karpenter.sh/nodepool"] || (n*d)%997 == 1 {
				continue // of some it is missing
			}
			pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: node.Name}, Status: corev1.PodStatus{
				Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			}}
			pod.Name, pod.OwnerReferences = ds.Name+"-"+node.Name, []metav1.OwnerReference{*metav1.NewControllerRef(ds, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}
			f.addPod(pod)
		}
	}
	return f
}

func BenchmarkMap(b *testing.B) {
	for _, size := range [][2]int{{500, 100}, {5000, 200}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			facts := crowd(b, size[0], size[1])
			b.ReportAllocs()
			for b.Loop() {
				drawn, err := (&mapper{facts: facts, poolLabels: placement.PoolLabels()}).draw(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if err := drawn.Write([]report.Output{{Format: "html", File: "/dev/null"}}, io.Discard); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(drawn.Columns)), "columns")
			}
		})
	}
}
