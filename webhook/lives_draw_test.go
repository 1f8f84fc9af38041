package webhook

import (
	"math/rand/v2"
	"strconv"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// dice draws from few names and values, so that they meet.
type dice struct {
	*rand.Rand
	// shared says that authors and policies want the same values.
	shared bool
}

func (d *dice) of(choices ...string) string { return choices[d.IntN(len(choices))] }

func (d *dice) chance(percent int) bool { return d.IntN(100) < percent }

// value is one of the author's, or of the policies'.
func (d *dice) value(author bool) string {
	switch {
	case d.shared:
		return d.of("x", "y", "")
	case author:
		return d.of("a1", "a2")
	}
	return d.of("p1", "p2", "")
}

func (d *dice) key() string { return d.of("pool", "zone", "example.com/disk") }

func (d *dice) labels(author bool) map[string]string {
	labels := map[string]string{}
	for range d.IntN(3) {
		labels[d.key()] = d.value(author)
	}
	return labels
}

func (d *dice) toleration(author bool) corev1.Toleration {
	t := corev1.Toleration{Key: d.key(), Operator: corev1.TolerationOpEqual, Value: d.value(author), Effect: corev1.TaintEffectNoSchedule}
	if d.chance(20) {
		t.Effect = corev1.TaintEffectNoExecute
		t.TolerationSeconds = new(int64)
	}
	return t
}

func (d *dice) requirement(author bool) corev1.NodeSelectorRequirement {
	r := corev1.NodeSelectorRequirement{Key: d.of("arch", "gen"), Operator: corev1.NodeSelectorOpNotIn, Values: []string{d.value(author)}}
	if d.chance(30) {
		r.Operator = corev1.NodeSelectorOpIn
	}
	if d.chance(20) {
		r.Values = append(r.Values, d.value(author)+"z")
	}
	return r
}

func (d *dice) terms() []corev1.NodeSelectorTerm {
	terms := make([]corev1.NodeSelectorTerm, 1+d.IntN(3))
	for i := range terms {
		for range 1 + d.IntN(2) {
			terms[i].MatchExpressions = append(terms[i].MatchExpressions, d.requirement(true))
		}
		if d.chance(15) {
			terms[i].MatchFields = []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"n-1"}}}
			if d.chance(50) {
				terms[i].MatchExpressions = nil
			}
		}
	}
	return terms
}

// base is the DaemonSet with all that the API server defaults, as it would store it.
const base = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: example-daemonset, namespace: default}
spec:
  revisionHistoryLimit: 10
  selector: {matchLabels: {app: example}}
  template:
    metadata: {labels: {app: example}}
    spec:
      containers:
      - {image: "example:1", imagePullPolicy: IfNotPresent, name: example, resources: {}, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File}
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {}
      terminationGracePeriodSeconds: 30
      volumes: [{name: v, projected: {defaultMode: 420, sources: []}}]
  updateStrategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}, type: RollingUpdate}
`

// redraw changes the author's manifest somewhere.
func (l *life) redraw() {
	pod := &l.manifest.Spec.Template.Spec
	switch l.IntN(6) {
	case 0:
		pod.NodeSelector = l.labels(true)
	case 1:
		pod.Tolerations = nil
		for range l.IntN(3) {
			pod.Tolerations = append(pod.Tolerations, l.toleration(true))
		}
	case 2:
		pod.Affinity = nil
		if l.chance(70) {
			pod.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: l.terms()},
			}}
		}
	case 3:
		if pod.Affinity == nil {
			pod.Affinity = &corev1.Affinity{}
		}
		pod.Affinity.PodAntiAffinity = nil
		if l.chance(60) {
			pod.Affinity.PodAntiAffinity = &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
				Weight: 1, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}},
			}}}
		}
		if pod.Affinity.PodAntiAffinity == nil && pod.Affinity.NodeAffinity == nil {
			pod.Affinity = nil
		}
	case 4:
		l.manifest.Labels = nil
		if l.chance(50) {
			l.manifest.Labels = map[string]string{"tier": l.of("x", "y")}
		}
	case 5:
		l.newImage(l.manifest)
	}
}

func (l *life) newImage(ds *appsv1.DaemonSet) {
	ds.Spec.Template.Spec.Containers[0].Image = "example:" + strconv.Itoa(l.IntN(1000))
}

// editPolicies adds, changes or deletes one of three policies, or changes the
// namespace's annotation.
func (l *life) editPolicies() {
	name := l.of("a", "b", "c")
	switch {
	case l.chance(15):
		l.namespace = map[string]string{}
		if l.chance(70) {
			l.namespace[v1alpha1.DefaultNamespaceAnnotation] = l.key() + "=" + l.value(false)
		}
	case l.chance(30):
		delete(l.policies, name)
	default:
		l.policies[name] = l.policy(name)
	}
	l.publish()
}

func (l *life) policy(name string) v1alpha1.PlacementPolicy {
	p := v1alpha1.PlacementPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	s := &p.Spec
	for key, value := range l.labels(false) {
		if s.NodeSelector == nil {
			s.NodeSelector = map[string]v1alpha1.NodeLabelValue{}
		}
		s.NodeSelector[key] = v1alpha1.NodeLabelValue(value)
	}
	if l.chance(40) {
		for range 1 + l.IntN(2) {
			r := l.requirement(false)
			s.NodeRequirements = append(s.NodeRequirements, v1alpha1.NodeRequirement{Key: r.Key, Operator: r.Operator, Values: r.Values})
		}
	}
	for range l.IntN(3) {
		if l.chance(50) {
			s.Tolerations = append(s.Tolerations, v1alpha1.Toleration(l.toleration(false)))
		}
	}
	for _, from := range []v1alpha1.NodeSelectorSourceType{
		v1alpha1.NodeSelectorFromWorkloadSelector, v1alpha1.NodeSelectorFromNamespaceAnnotation, v1alpha1.NodeSelectorFromWorkloadAnnotation,
	} {
		if l.chance(20) {
			s.NodeSelectorFrom = append(s.NodeSelectorFrom, v1alpha1.NodeSelectorSource{Type: from})
		}
	}
	if len(s.NodeSelector)+len(s.NodeRequirements)+len(s.Tolerations)+len(s.NodeSelectorFrom) == 0 {
		s.NodeSelector = map[string]v1alpha1.NodeLabelValue{"pool": v1alpha1.NodeLabelValue(l.value(false))}
	}
	s.ConflictPolicy = v1alpha1.ConflictPolicy(l.of("Reject", "PreferExisting", "PreferPolicy"))
	s.UpdatePolicy = v1alpha1.UpdatePolicy(l.of("OnTemplateChange", "OnTemplateChange", "Always", "CreateOnly"))
	s.Mode = v1alpha1.Mode(l.of("Enforce", "Enforce", "Enforce", "Enforce", "Audit"))
	s.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.ValidationAction(l.of("Deny", "Deny", "Warn"))}
	if l.chance(20) {
		s.MatchConditions = []v1alpha1.MatchCondition{{Name: "c", Expression: l.of(
			"true", "false", "has(object.metadata.labels) && object.metadata.labels.tier == 'x'", "object.metadata.labels.tier == 'x'")}}
	}
	if l.chance(15) {
		s.MatchConstraints.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "x"}}
	}
	return p
}

// publish makes the webhooks know the policies.
func (l *life) publish() {
	var list []v1alpha1.PlacementPolicy
	programs := map[string]*conditions.Program{}
	for name, p := range l.policies {
		list = append(list, p)
		if program, _ := conditions.Compile(p.Spec.MatchConditions); !program.Empty() {
			programs[name] = program
		}
	}
	compiled, failed := placement.Compile(list)
	if len(failed) > 0 {
		l.tb.Fatal(failed)
	}
	space := placement.Namespace{Name: "default", Annotations: l.namespace}
	l.facts.snapshot = cluster.NewSnapshot(compiled, []placement.Namespace{space}, (&cluster.NodeIndex{}).Apply([]cluster.NodeChange{{Name: "n-1"}})).
		WithConditions(programs)
	if l.published != nil {
		l.published()
	}
}

func readDaemonSet(tb testing.TB, manifest string) *appsv1.DaemonSet {
	tb.Helper()
	ds := &appsv1.DaemonSet{}
	if err := yaml.UnmarshalStrict([]byte(manifest), ds); err != nil {
		tb.Fatal(err)
	}
	return ds
}
