package cluster

import (
	"strconv"
	"testing"
)

func TestAComparisonLooksAtFewerNodesThanABitmapHasWords(t *testing.T) {
	const nodes = 15_000
	for name, every := range map[string]int{"a value each": 1, "a value for a few": 40, "a value for many": 3000} {
		t.Run(name, func(t *testing.T) {
			changes := make([]NodeChange, nodes)
			for i := range changes {
				changes[i] = NodeChange{Name: strconv.Itoa(i), Labels: map[string]string{"size": strconv.Itoa(i / every)}}
			}
			index := (&NodeIndex{}).Apply(changes)
			n := newNumbers(index, "size")
			if most := nodes/len(index.noNodes()) + 1; len(n.unions) > most {
				t.Errorf("%d unions are kept, more than %d", len(n.unions), most)
			}
			for at := range n.sorted {
				union := index.noNodes()
				n.from(at, union)
				if got, want := union.count(), nodes-at*every; got != want {
					t.Fatalf("%d nodes are greater than the %dth value, want %d", got, at, want)
				}
			}
			for i := 1; i < len(n.unions); i++ {
				between := 0
				for _, number := range n.sorted[n.unions[i].at+1 : n.unions[i-1].at] {
					between += number.nodes.n
				}
				if between >= len(index.noNodes()) {
					t.Errorf("%d nodes are between two unions, and a bitmap has %d words", between, len(index.noNodes()))
				}
			}
		})
	}
}
