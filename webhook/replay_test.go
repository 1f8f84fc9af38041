package webhook

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/placement"
)

// realStore is a real API server, which calls our server.
type realStore struct {
	t     *testing.T
	admin client.Client
	key   types.NamespacedName
}

func (s *realStore) stored() *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{}
	if err := s.admin.Get(s.t.Context(), s.key, ds); err != nil {
		return nil
	}
	ds.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	return ds
}

func (s *realStore) send(r request) error {
	ds := &appsv1.DaemonSet{}
	if r.verb != "patch" {
		if err := yaml.Unmarshal(r.body, ds); err != nil {
			return err
		}
	}
	ds.Namespace, ds.Name, ds.ManagedFields = s.key.Namespace, s.key.Name, nil
	owner := client.FieldOwner(r.manager)
	var err error
	switch {
	case r.verb == "create":
		err = s.admin.Create(s.t.Context(), ds, owner)
	case r.verb == "put":
		ds.ResourceVersion = ""
		err = s.admin.Update(s.t.Context(), ds, owner)
	case r.patch == types.ApplyPatchType:
		err = s.admin.Patch(s.t.Context(), ds, client.RawPatch(r.patch, r.body), owner, client.ForceOwnership)
	default:
		err = s.admin.Patch(s.t.Context(), ds, client.RawPatch(r.patch, r.body), owner)
	}
	if apierrors.IsInvalid(err) && strings.Contains(err.Error(), "admission webhook") {
		return fmt.Errorf("%w: %s", errDenied, err.Error())
	}
	return err
}

// what is what of a DaemonSet the two stores have to agree on.
type what struct {
	Template corev1.PodTemplateSpec
	Receipt  string
}

func whatOf(ds *appsv1.DaemonSet) what {
	if ds == nil {
		return what{}
	}
	return what{ds.Spec.Template, ds.Annotations[placement.InjectedAnnotation]}
}

// twoStores sends each write to the phases and to the real API server.
type twoStores struct {
	*phases
	real *realStore
}

func (s *twoStores) send(r request) error {
	computed := s.phases.send(r)
	stored := s.real.send(r)
	if errors.Is(computed, errDenied) != errors.Is(stored, errDenied) || stored != nil && !errors.Is(stored, errDenied) {
		return fmt.Errorf("the phases say %w, the API server %w", computed, stored)
	}
	if diff := cmp.Diff(whatOf(s.stored()), whatOf(s.real.stored())); diff != "" {
		return fmt.Errorf("the phases store something else than the API server (-phases +API server):\n%s", diff)
	}
	return computed
}

// TestLivesOnARealAPIServer replays lives on it. BERTH_REPLAYS=N replays N.
func TestLivesOnARealAPIServer(t *testing.T) {
	lives := 40
	if n, err := strconv.Atoi(os.Getenv("BERTH_REPLAYS")); err == nil {
		lives = n
	}
	facts := &fixedFacts{}
	admin := apiServerWith(t, facts)
	for seed := range uint64(lives) {
		l := newLife(t, seed)
		with, ok := l.with.(*phases)
		if !ok || with.before != nil || with.after != nil {
			continue // The other webhook is a function.
		}
		key := types.NamespacedName{Namespace: "default", Name: "example-daemonset"}
		l.with = &twoStores{with, &realStore{t, admin, key}}
		l.published = func() { facts.snapshot = l.facts.snapshot }
		l.publish()
		if err := l.live(stepsOfALife); err != nil {
			t.Fatalf("life %d: %v\n%s", seed, err, strings.Join(l.log, "\n"))
		}
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		if err := admin.Delete(t.Context(), ds); client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
}
