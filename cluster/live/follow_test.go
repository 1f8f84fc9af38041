package live

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

func TestChangesThatComeTogetherArePublishedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Facts{dirty: make(chan struct{}, 1)}
		first := cluster.NewSnapshot(placement.Policies{}, nil, &cluster.NodeIndex{})
		f.snapshot.Store(first)
		go func() {
			if err := f.follow(t.Context()); err != nil {
				t.Error(err)
			}
		}()

		for i := range 1000 {
			f.nodeChanged(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}}, false)
			time.Sleep(settle / 2000)
		}
		f.namespaceChanged(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}, false)
		synctest.Wait()
		if f.Snapshot() != first {
			t.Error("a change was published while more came")
		}
		time.Sleep(settle)
		synctest.Wait()
		published := f.Snapshot()
		if _, known := published.PoliciesFor("demo"); !known || published.Nodes().Len() != 1000 {
			t.Errorf("published: demo known: %t, %d of 1000 nodes", known, published.Nodes().Len())
		}
		time.Sleep(10 * settle)
		synctest.Wait()
		if f.Snapshot() != published {
			t.Error("with nothing changed there was another snapshot")
		}
	})
}
