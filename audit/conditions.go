package audit

import (
	"context"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// answers is what the matchConditions of policies say of one version of a
// DaemonSet in one version of its namespace. They see the whole object, which the
// audit does not keep: it is read once for each version, not for each change of
// a node.
type answers struct {
	namespace placement.Namespace
	of        map[*conditions.Program]bool
}

// ask answers matchConditions, and keeps the answers in the entry. A condition
// that fails, as one may that asks for the user, is not met: whether the policy
// applies is known only when somebody writes.
func (s *state) ask(ctx context.Context, found, last *entry) func(*conditions.Program, placement.Which) (bool, error) {
	ds := found.daemonSet
	namespace, _ := s.snapshot.Namespace(ds.Namespace)
	found.answers = answers{namespace: namespace, of: map[*conditions.Program]bool{}}
	var known map[*conditions.Program]bool
	if last != nil && decidedAlike(last.daemonSet, ds) && last.answers.isOf(namespace) {
		known = last.answers.of
	}
	var object map[string]any
	var cost conditions.Cost
	return func(program *conditions.Program, _ placement.Which) (bool, error) {
		met, answered := known[program]
		if !answered {
			if object == nil && !found.unread {
				object = s.read(ctx, ds)
				found.unread = object == nil
			}
			if found.unread {
				return false, nil
			}
			var err error
			met, err = program.Matches(ctx, cluster.Unchanged(namespace, object), &cost)
			met = met && err == nil
		}
		found.answers.of[program] = met
		return met, nil
	}
}

func (a *answers) isOf(namespace placement.Namespace) bool {
	return maps.Equal(a.namespace.Labels, namespace.Labels) && maps.Equal(a.namespace.Annotations, namespace.Annotations)
}

// read reads a whole DaemonSet, or returns nil.
func (s *state) read(ctx context.Context, ds *appsv1.DaemonSet) map[string]any {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	err := s.live.Get(ctx, types.NamespacedName{Namespace: ds.Namespace, Name: ds.Name}, object)
	if err != nil {
		if !apierrors.IsNotFound(err) {
			s.log.Error(err, "Cannot read a DaemonSet for matchConditions: trying again", "namespace", ds.Namespace, "name", ds.Name)
		}
		return nil
	}
	return object.Object
}
