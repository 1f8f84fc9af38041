package placement

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// levenshtein is the definition, with nothing left out.
func levenshtein(a, b string) int {
	if a == "" || b == "" {
		return len(a) + len(b)
	}
	substituted := levenshtein(a[1:], b[1:])
	if a[0] != b[0] {
		substituted++
	}
	return min(substituted, levenshtein(a[1:], b)+1, levenshtein(a, b[1:])+1)
}

func TestTheEditDistanceIsLevenshteinsUpToItsLimit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	word := func() string {
		var b strings.Builder
		for range random.IntN(7) {
			b.WriteByte("abc"[random.IntN(3)])
		}
		return b.String()
	}
	for range 3000 {
		a, b, atMost := word(), word(), random.IntN(8)
		if got, want := editDistance(a, b, atMost), min(levenshtein(a, b), atMost+1); got != want {
			t.Fatalf("from %q to %q, at most %d: %d, want %d", a, b, atMost, got, want)
		}
	}
	if got := editDistance(strings.Repeat("a", 300), strings.Repeat("b", 310), 400); got != 310 {
		t.Errorf("of words longer than any label value: %d, want 310", got)
	}
}

func TestOfManyValuesOnlyATypingErrorIsClose(t *testing.T) {
	few, many := map[string]int{}, map[string]int{}
	for i := range manyValues + 1 {
		many[fmt.Sprintf("node-%04d.example.com", i)] = 1
		if i < manyValues {
			few[fmt.Sprintf("node-%04d.example.com", i)] = 1
		}
	}
	tests := map[string]struct {
		values map[string]int
		wanted string
		want   LabelCount
	}{
		"a typing error among many":     {many, "node-0042.exmaple.com", LabelCount{"id", "node-0042.example.com", 1}},
		"nothing like it among many":    {many, "worker", LabelCount{}},
		"the closest, if far, of fewer": {few, "worker", LabelCount{"id", "node-0000.example.com", 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			have := map[string]map[string]int{"id": test.values, "name": {"else": 7}}
			missing, closest := FindClosest(map[string]string{"id": test.wanted}, have, func(n int) int { return n })
			if diff := cmp.Diff(test.want, closest); diff != "" || missing != "id="+test.wanted {
				t.Errorf("missing %s, closest (-want +got):\n%s", missing, diff)
			}
		})
	}
}
