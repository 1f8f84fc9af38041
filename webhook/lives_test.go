package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

func unstructuredOf(object map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: object}
}

// life is a DaemonSet through the writes of its users and the edits of policies,
// in a cluster with berth; and through the same writes in one without, which
// tells what its author means.
type life struct {
	*dice
	facts         *fixedFacts
	with, without store
	policies      map[string]v1alpha1.PlacementPolicy
	namespace     map[string]string // annotations
	// manifest is the file that the author applies.
	manifest *appsv1.DaemonSet
	// revisions are templates that rollout undo can bring back, in both clusters.
	revisions []revision
	// vague says that a write stated a value of berth's, or may have: then nobody can
	// tell any more what is the author's.
	vague bool
	log   []string
}

type revision struct{ with, without corev1.PodTemplateSpec }

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
			s.Tolerations = append(s.Tolerations, l.toleration(false))
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
		panic(fmt.Sprint(failed))
	}
	space := placement.Namespace{Name: "default", Annotations: l.namespace}
	l.facts.snapshot = cluster.NewSnapshot(compiled, []placement.Namespace{space}, (&cluster.NodeIndex{}).Apply([]cluster.NodeChange{{Name: "n-1"}})).
		WithConditions(programs)
}

// The writes. Each returns what is sent, given the object as it is stored.

type write func(stored *appsv1.DaemonSet) request

func (l *life) writes() map[string]write {
	applied := l.manifest.DeepCopy()
	annotate, image, edit := l.of("1", "2", "3"), "example:"+strconv.Itoa(l.IntN(1000)), l.edit()
	writes := map[string]write{
		"kubectl apply":               func(was *appsv1.DaemonSet) request { return clientSideApply(was, applied) },
		"kubectl apply --server-side": func(*appsv1.DaemonSet) request { return serverSideApply(applied, "helm") },
		"an operator's PUT": func(*appsv1.DaemonSet) request {
			return request{verb: "put", body: mustJSON(applied), manager: "operator"}
		},
		"an operator's PUT that keeps annotations": func(was *appsv1.DaemonSet) request {
			put := applied.DeepCopy()
			put.Annotations = was.Annotations
			return request{verb: "put", body: mustJSON(put), manager: "operator"}
		},
		"kubectl annotate": func(was *appsv1.DaemonSet) request {
			return edited(was, func(ds *appsv1.DaemonSet) { metav1.SetMetaDataAnnotation(&ds.ObjectMeta, "note", annotate) })
		},
		"kubectl annotate node-selector": func(was *appsv1.DaemonSet) request {
			return edited(was, func(ds *appsv1.DaemonSet) {
				metav1.SetMetaDataAnnotation(&ds.ObjectMeta, v1alpha1.DefaultWorkloadAnnotation, "pool="+l.value(false))
			})
		},
		"kubectl set image": func(was *appsv1.DaemonSet) request {
			return edited(was, func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = image })
		},
		"kubectl edit": func(was *appsv1.DaemonSet) request { return edited(was, edit) },
		"a controller's update": func(was *appsv1.DaemonSet) request {
			changed := was.DeepCopy()
			edit(changed)
			return request{verb: "put", body: mustJSON(changed), manager: "controller"}
		},
	}
	if l.shared {
		// It states what berth wrote.
		writes["an operator that resets annotations"] = func(was *appsv1.DaemonSet) request {
			changed := was.DeepCopy()
			changed.Annotations = nil
			edit(changed)
			return request{verb: "put", body: mustJSON(changed), manager: "operator"}
		}
	}
	return writes
}

// edit is what somebody does to an object that he sees as it is stored.
func (l *life) edit() func(*appsv1.DaemonSet) {
	key, value, toleration, term, image := l.key(), l.value(true), l.toleration(true), l.terms()[0], l.chance(50)
	kind := l.IntN(5)
	return func(ds *appsv1.DaemonSet) {
		pod := &ds.Spec.Template.Spec
		if image {
			pod.Containers[0].Image += "x"
			pod.Containers[0].Image = pod.Containers[0].Image[max(0, len(pod.Containers[0].Image)-20):]
		}
		switch kind {
		case 0:
			if pod.NodeSelector == nil {
				pod.NodeSelector = map[string]string{}
			}
			pod.NodeSelector[key] = value
		case 1:
			pod.Tolerations = append(pod.Tolerations, toleration)
		case 2:
			pod.Tolerations = slices.DeleteFunc(pod.Tolerations, func(t corev1.Toleration) bool { return t.Value == toleration.Value })
		case 3:
			if pod.Affinity == nil {
				pod.Affinity = &corev1.Affinity{}
			}
			if pod.Affinity.NodeAffinity == nil {
				pod.Affinity.NodeAffinity = &corev1.NodeAffinity{}
			}
			required := &pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
			if *required == nil {
				*required = &corev1.NodeSelector{}
			}
			(*required).NodeSelectorTerms = append((*required).NodeSelectorTerms, term)
		case 4:
			metav1.SetMetaDataLabel(&ds.ObjectMeta, "tier", "x")
		}
	}
}

func edited(was *appsv1.DaemonSet, edit func(*appsv1.DaemonSet)) request {
	changed := was.DeepCopy()
	edit(changed)
	patch, err := strategicpatch.CreateTwoWayMergePatch(mustJSON(was), mustJSON(changed), appsv1.DaemonSet{})
	if err != nil {
		panic(err)
	}
	return request{verb: "patch", patch: types.StrategicMergePatchType, body: patch, manager: "kubectl-edit"}
}

// clientSideApply is what kubectl sends: a three-way merge patch
// (k8s.io/kubectl/pkg/cmd/apply).
func clientSideApply(was, manifest *appsv1.DaemonSet) request {
	modified := manifest.DeepCopy()
	modified.Annotations = nil
	file := append(mustJSON(modified), '\n')
	if was == nil {
		modified.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(file)}
		return request{verb: "create", body: mustJSON(modified), manager: "kubectl-client-side-apply"}
	}
	original := []byte(was.Annotations[corev1.LastAppliedConfigAnnotation])
	modified.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(file)}
	meta, err := strategicpatch.NewPatchMetaFromStruct(appsv1.DaemonSet{})
	if err != nil {
		panic(err)
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(original, mustJSON(modified), mustJSON(was), meta, true)
	if err != nil {
		panic(err)
	}
	return request{verb: "patch", patch: types.StrategicMergePatchType, body: patch, manager: "kubectl-client-side-apply"}
}

func serverSideApply(manifest *appsv1.DaemonSet, manager string) request {
	return request{verb: "patch", patch: types.ApplyPatchType, body: mustJSON(manifest), manager: manager}
}

// undo is what kubectl rollout undo sends.
func undo(to *corev1.PodTemplateSpec) request {
	var template map[string]any
	if err := json.Unmarshal(mustJSON(to), &template); err != nil {
		panic(err)
	}
	template["$patch"] = "replace"
	return request{verb: "patch", patch: types.StrategicMergePatchType, manager: "kubectl-rollout",
		body: mustJSON(map[string]any{"spec": map[string]any{"template": template}})}
}

// newLife is a life that begins with a few policies and a new DaemonSet.
func newLife(tb testing.TB, seed uint64) *life {
	tb.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	l := &life{dice: &dice{Rand: rng, shared: rng.IntN(2) == 0}, facts: &fixedFacts{}, policies: map[string]v1alpha1.PlacementPolicy{}}
	with, without := newPhases(tb, l.facts), newPhases(tb, nil)
	if l.chance(25) {
		for _, p := range []*phases{with, without} {
			p.before = func(ds *appsv1.DaemonSet) {
				if ds.Spec.Template.Spec.NodeSelector == nil {
					ds.Spec.Template.Spec.NodeSelector = map[string]string{}
				}
				ds.Spec.Template.Spec.NodeSelector["tenant"] = "t"
			}
		}
	}
	if l.chance(25) {
		sidecar := corev1.Toleration{Key: "sidecar", Operator: corev1.TolerationOpExists}
		for _, p := range []*phases{with, without} {
			p.after = func(ds *appsv1.DaemonSet) {
				pod := &ds.Spec.Template.Spec
				if !slices.Contains(pod.Tolerations, sidecar) {
					pod.Tolerations = append(pod.Tolerations, sidecar)
				}
				if image := &pod.Containers[0].Image; !strings.Contains(*image, "@") {
					*image += "@sha"
				}
			}
		}
	}
	l.with, l.without = with, without
	l.manifest = readDaemonSet(tb, base)
	l.publish()
	for range l.IntN(4) {
		l.editPolicies()
	}
	for range l.IntN(4) {
		l.redraw()
	}
	return l
}

// step is one thing that happens. It returns an error where a law is broken.
func (l *life) step() error {
	if l.with.stored() == nil {
		if l.chance(30) {
			l.editPolicies()
		}
		l.redraw()
		create := clientSideApply(nil, l.manifest)
		if l.chance(50) {
			create = request{verb: "create", body: mustJSON(l.manifest), manager: "kubectl-create"}
		}
		return l.both("create", func(*appsv1.DaemonSet) request { return create })
	}
	switch l.IntN(10) {
	case 0, 1:
		l.editPolicies()
		l.log = append(l.log, "policies: "+string(mustJSON(l.policies))+" "+fmt.Sprint(l.namespace))
		return nil
	case 2:
		l.redraw()
		return nil
	case 3:
		if n := len(l.revisions); n > 0 {
			return l.undo(l.revisions[l.IntN(n)])
		}
		return nil
	}
	writes := l.writes()
	names := make([]string, 0, len(writes))
	for name := range writes {
		names = append(names, name)
	}
	slices.Sort(names)
	name := names[l.IntN(len(names))]
	return l.both(name, writes[name])
}

func (l *life) undo(to revision) error {
	with, without := undo(&to.with), undo(&to.without)
	first := true
	return l.both("kubectl rollout undo", func(*appsv1.DaemonSet) request {
		if first {
			first = false
			return with
		}
		return without
	})
}

// both sends a write to both clusters. One that berth denies is sent to none.
func (l *life) both(name string, w write) error {
	was, meant := l.with.stored(), l.without.stored()
	request := w(was)
	l.log = append(l.log, name+": "+string(request.body))
	err := l.with.send(request)
	if errors.Is(err, errDenied) {
		l.log = append(l.log, "  "+err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := l.without.send(w(meant)); err != nil {
		return fmt.Errorf("%s, without berth: %w", name, err)
	}
	is, means := l.with.stored(), l.without.stored()
	l.log = append(l.log, "  stored "+string(mustJSON(is.Spec.Template.Spec.NodeSelector))+string(mustJSON(is.Spec.Template.Spec.Affinity))+
		string(mustJSON(is.Spec.Template.Spec.Tolerations))+" "+is.Annotations[placement.InjectedAnnotation])
	if len(is.Annotations[placement.InjectedAnnotation]) > 16<<10 {
		return fmt.Errorf("%s: the receipt has grown to %d bytes", name, len(is.Annotations[placement.InjectedAnnotation]))
	}
	if was != nil {
		if string(mustJSON(was.Spec.Template)) != string(mustJSON(is.Spec.Template)) {
			l.revisions = append(l.revisions, revision{was.Spec.Template, meant.Spec.Template})
		}
		if err := l.checkReapply(was, is, meant, means); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// checkReapply is the law: what the author did not change is stored as it was,
// unless a policy acts always.
func (l *life) checkReapply(was, is, meant, means *appsv1.DaemonSet) error {
	for _, p := range l.policies {
		if p.Spec.UpdatePolicy == v1alpha1.UpdateAlways {
			return nil
		}
	}
	if l.shared || cmp.Diff(meant.Spec.Template, means.Spec.Template) != "" {
		return nil
	}
	if diff := cmp.Diff(was.Spec.Template, is.Spec.Template); diff != "" {
		return fmt.Errorf("the author changed nothing, and the template is another (-was +is):\n%s", diff)
	}
	return nil
}

// checkReversible is the law: without policies, a change of the template gives
// back what its author wrote.
func (l *life) checkReversible() error {
	if l.shared || l.with.stored() == nil {
		return nil
	}
	l.policies, l.namespace = map[string]v1alpha1.PlacementPolicy{}, nil
	l.publish()
	if err := l.both("the last image", func(was *appsv1.DaemonSet) request {
		return edited(was, func(ds *appsv1.DaemonSet) { ds.Spec.Template.Spec.Containers[0].Image = "example:last" })
	}); err != nil {
		return err
	}
	want, got := l.without.stored().Spec.Template, l.with.stored().Spec.Template
	if string(mustJSON(want)) != string(mustJSON(got)) {
		return fmt.Errorf("without policies the template is not its author's (-author +stored):\n%s", cmp.Diff(want, got))
	}
	return nil
}

// live lives one life of so many steps, and returns how many it made.
func (l *life) live(steps int) error {
	for range steps {
		if err := l.step(); err != nil {
			return err
		}
	}
	return l.checkReversible()
}

const stepsOfALife = 20

// FuzzLives holds the laws over lives: same in both phases, re-apply, reversible.
// BERTH_LIVES=N lives so many more.
func TestLives(t *testing.T) {
	lives := 150
	if n, err := strconv.Atoi(os.Getenv("BERTH_LIVES")); err == nil {
		lives = n
	}
	for seed := range uint64(lives) {
		l := newLife(t, seed)
		if err := l.live(stepsOfALife); err != nil {
			t.Fatalf("life %d: %v\n%s", seed, err, strings.Join(l.log, "\n"))
		}
	}
	t.Logf("%d steps", lives*stepsOfALife)
}

func FuzzLives(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		l := newLife(t, seed)
		if err := l.live(stepsOfALife); err != nil {
			t.Fatalf("%v\n%s", err, strings.Join(l.log, "\n"))
		}
	})
}

func readDaemonSet(tb testing.TB, manifest string) *appsv1.DaemonSet {
	tb.Helper()
	ds := &appsv1.DaemonSet{}
	if err := yaml.UnmarshalStrict([]byte(manifest), ds); err != nil {
		tb.Fatal(err)
	}
	return ds
}
