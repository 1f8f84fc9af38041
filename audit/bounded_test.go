package audit

import (
	"fmt"
	"runtime"
	"testing"

	"berth.dev/berth/api/v1alpha1"
)

// contradicting is policies of which each wants another value of the same keys.
func contradicting(policies, keys int) []v1alpha1.PlacementPolicy {
	var list []v1alpha1.PlacementPolicy
	for i := range policies {
		labels := map[string]v1alpha1.NodeLabelValue{}
		for k := range keys {
			labels[fmt.Sprintf("key-%d", k)] = v1alpha1.NodeLabelValue(fmt.Sprintf("value-%d", i))
		}
		list = append(list, literalPolicy(fmt.Sprintf("policy-%03d", i), labels))
	}
	return list
}

func TestPoliciesThatContradictEachOtherManyTimesAreReportedWithLittleMemory(t *testing.T) {
	const limit = 32 << 20
	var s state
	s.update(t.Context(), snapshotOf(t, nil, contradicting(100, 64)...), nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report := s.report()
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > limit {
		t.Errorf("%d bytes are allocated, more than %d", allocated, limit)
	}
	if conflict := report.policies["policy-099"].conflict; conflict == "" {
		t.Errorf("no conflict is reported")
	}
}

func BenchmarkContradictingPolicies(b *testing.B) {
	var s state
	s.update(b.Context(), snapshotOf(b, nil, contradicting(100, 64)...), nil)
	b.ReportAllocs()
	for b.Loop() {
		s.report()
	}
}
