package live

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

// How many namespaces are read live. The API server asks only about those that
// exist, and of a new one the watch brings word in a moment; but whoever can
// connect to berth may name any. So few reads are in flight at a time that they
// all go through the connection that the watches use.
const (
	readsAtOnce    = 20
	readsPerSecond = 10
)

// Namespace reads a namespace from the API server: one that is younger than the
// snapshot. It returns cluster.ErrTooManyReads when too many are asked for.
func (f *Facts) Namespace(ctx context.Context, name string) (placement.Namespace, error) {
	if !f.reads.TryAccept() {
		return placement.Namespace{}, cluster.ErrTooManyReads
	}
	object := newNamespace()
	if err := f.live.Get(ctx, types.NamespacedName{Name: name}, object); err != nil {
		return placement.Namespace{}, fmt.Errorf("read namespace %s: %w", name, err)
	}
	return factsOf(object), nil
}

func factsOf(namespace *metav1.PartialObjectMetadata) placement.Namespace {
	return placement.Namespace{Name: namespace.Name, Labels: namespace.Labels, Annotations: keptAnnotations(namespace.Annotations)}
}
