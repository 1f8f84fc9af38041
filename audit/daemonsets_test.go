package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/yaml"
)

func parsed(t *testing.T, manifest string) *appsv1.DaemonSet {
	t.Helper()
	ds := &appsv1.DaemonSet{}
	if err := yaml.UnmarshalStrict([]byte(manifest), ds); err != nil {
		t.Fatal(err)
	}
	return ds
}

func TestTheCacheKeepsWhatPlacementReads(t *testing.T) {
	const kept = `
metadata:
  namespace: demo
  name: agent
  uid: u-1
  resourceVersion: "7"
  generation: 3
  labels: {a: b}
  annotations: {berth.dev/injected: "{}"}
  deletionTimestamp: "2026-01-01T00:00:00Z"
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      nodeName: n-1
      hostNetwork: true
      priorityClassName: high
      nodeSelector: {pool: blue}
      tolerations: [{operator: Exists}]
      affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [n-1]}]}]}}}
status: {currentNumberScheduled: 2, numberReady: 1, desiredNumberScheduled: 0, numberMisscheduled: 0}
`
	full := parsed(t, kept)
	full.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	full.Annotations[corev1.LastAppliedConfigAnnotation] = "{}"
	full.Spec.Template.Spec.Containers = []corev1.Container{{Name: "agent"}}
	full.Spec.Template.Spec.Affinity.PodAffinity = &corev1.PodAffinity{}
	full.Status.DesiredNumberScheduled = 4
	stripped, err := strip(full)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(parsed(t, kept), stripped); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheShelfHandsOutEachChangeOnce(t *testing.T) {
	var s daemonSetStore
	one, two := agent("demo", "one"), agent("demo", "two")
	s.put(one, false)
	s.put(two, false)
	if diff := cmp.Diff(byKey(one, two), s.take(false)); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	s.put(one.DeepCopy(), false)
	if got := s.take(false); len(got) != 0 {
		t.Errorf("a resync changed %v", got)
	}
	counted := one.DeepCopy()
	counted.Status.NumberReady = 1
	s.put(counted, false)
	s.put(two, true)
	want := byKey(counted, two)
	for key, ds := range want {
		if ds == two {
			want[key] = nil
		}
	}
	if diff := cmp.Diff(want, s.take(false)); diff != "" {
		t.Errorf("a counter and a deletion (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(byKey(counted), s.take(true)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	s.put(toolscache.DeletedFinalStateUnknown{}, true)
	if got := s.take(false); len(got) != 0 {
		t.Errorf("what is no DaemonSet changed %v", got)
	}
}
