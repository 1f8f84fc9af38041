package webhook

import (
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
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/placement"
)

// life is a DaemonSet through the writes of its users and the edits of policies,
// in a cluster with berth; and through the same writes in one without, which
// tells what its author means.
type life struct {
	*dice
	tb            testing.TB
	facts         *fixedFacts
	with, without store
	policies      map[string]v1alpha1.PlacementPolicy
	namespace     map[string]string // annotations
	// manifest is the file that the author applies.
	manifest *appsv1.DaemonSet
	// revisions are templates that rollout undo can bring back, in both clusters.
	revisions []revision
	// vague says that nobody can tell any more what is the author's: a write was, to the
	// byte, a template of the past that its author meant otherwise; or a server-side
	// apply that states a list which berth has extended took it from its other owners,
	// who share it without berth, and then drops it.
	vague bool
	log   []string
	// published is called when the webhooks know other policies; nil: nobody asks.
	published func()
}

type revision struct{ with, without corev1.PodTemplateSpec }

// newLife is a life that begins with a few policies and a new DaemonSet.
func newLife(tb testing.TB, seed uint64) *life {
	tb.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	l := &life{tb: tb, dice: &dice{Rand: rng, shared: rng.IntN(2) == 0}, facts: &fixedFacts{}, policies: map[string]v1alpha1.PlacementPolicy{}}
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
			create = request{verb: "create", body: toJSON(l.manifest), manager: "kubectl-create"}
		}
		return l.both("create", func(*appsv1.DaemonSet) request { return create })
	}
	switch l.IntN(10) {
	case 0, 1:
		l.editPolicies()
		l.log = append(l.log, "policies: "+string(toJSON(l.policies))+" "+fmt.Sprint(l.namespace))
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
	if string(toJSON(to.with)) == string(toJSON(l.with.stored().Spec.Template)) {
		return nil // as kubectl does
	}
	return l.each("kubectl rollout undo", func(*appsv1.DaemonSet) request { return undo(&to.with) },
		func(*appsv1.DaemonSet) request { return undo(&to.without) })
}

// both sends a write to both clusters.
func (l *life) both(name string, w write) error { return l.each(name, w, w) }

// each sends a write to each cluster. One that berth denies is sent to none.
func (l *life) each(name string, with, without write) error {
	was, meant := l.with.stored(), l.without.stored()
	request := with(was)
	l.vague = l.vague || was != nil && (l.repeats(request, without(meant)) || request.patch == types.ApplyPatchType && owners(was) != owners(meant))
	l.log = append(l.log, name+": "+string(request.body))
	err := l.with.send(request)
	if errors.Is(err, errDenied) {
		l.log = append(l.log, "  "+err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := l.without.send(without(meant)); err != nil {
		return fmt.Errorf("%s, without berth: %w", name, err)
	}
	is, means := l.with.stored(), l.without.stored()
	l.log = append(l.log, "  stored "+string(toJSON(is.Spec.Template.Spec.NodeSelector))+string(toJSON(is.Spec.Template.Spec.Affinity))+
		string(toJSON(is.Spec.Template.Spec.Tolerations))+" "+is.Annotations[placement.InjectedAnnotation])
	if len(is.Annotations[placement.InjectedAnnotation]) > 16<<10 {
		return fmt.Errorf("%s: the receipt has grown to %d bytes", name, len(is.Annotations[placement.InjectedAnnotation]))
	}
	if was != nil {
		if string(toJSON(was.Spec.Template)) != string(toJSON(is.Spec.Template)) {
			l.revisions = append(l.revisions, revision{was.Spec.Template, meant.Spec.Template})
		}
		if err := l.checkReapply(was, is, meant, means); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := l.checkWaiting(was, is, meant, means); err != nil {
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
	if l.shared || l.vague || cmp.Diff(meant.Spec.Template, means.Spec.Template) != "" {
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
	if l.shared || l.vague || l.with.stored() == nil {
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
	if string(toJSON(want)) != string(toJSON(got)) {
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

// TestLives holds the laws over lives: same in both phases, re-apply, reversible.
// BERTH_LIVES=N lives so many, and BERTH_LIVES=M-N those from M on.
func TestLives(t *testing.T) {
	first, lives := 0, 150
	if from, to, both := strings.Cut(os.Getenv("BERTH_LIVES"), "-"); both {
		first, _ = strconv.Atoi(from)
		lives, _ = strconv.Atoi(to)
	} else if n, err := strconv.Atoi(from); err == nil {
		lives = n
	}
	seeds := []uint64{901, 4710, 7119, 39574} // A long run found a fault in each of these.
	for seed := first; seed < lives; seed++ {
		seeds = append(seeds, uint64(seed))
	}
	for _, seed := range seeds {
		l := newLife(t, seed)
		if err := l.live(stepsOfALife); err != nil {
			t.Fatalf("life %d: %v\n%s", seed, err, strings.Join(l.log, "\n"))
		}
	}
	t.Logf("%d steps", len(seeds)*stepsOfALife)
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
