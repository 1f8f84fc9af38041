package placement_test

import (
	"runtime"
	"strings"
	"testing"
)

func TestWhateverAWriteAsksOfPoliciesTakesLittleMemory(t *testing.T) {
	const limit = 32 << 20
	for name, attack := range attacks(t) {
		t.Run(name, func(t *testing.T) {
			compiled, w := attack.ask(t)
			selected, q := applicable(compiled, w)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			decision := selected.Decide(q)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > limit {
				t.Errorf("%d bytes are allocated, more than %d", allocated, limit)
			}
			if denied := decision.Denied().ToAggregate(); attack.denied == "" && !attack.update && denied != nil ||
				attack.denied != "" && (denied == nil || !strings.Contains(denied.Error(), attack.denied)) {
				t.Errorf("denied with %.300v, want %q", denied, attack.denied)
			}
		})
	}
}

// What the audit asks: a verdict of each policy, and the conflicts between them.
func BenchmarkAdversarialVerdicts(b *testing.B) {
	for name, attack := range attacks(b) {
		b.Run(name, func(b *testing.B) {
			selected, q := attack.audit(b)
			b.ReportAllocs()
			for b.Loop() {
				selected.Verdicts(q)
				selected.Conflicts(q.New)
			}
		})
	}
}

func TestWhateverTheAuditAsksOfPoliciesTakesLittleMemory(t *testing.T) {
	const limit = 64 << 20
	for name, attack := range attacks(t) {
		t.Run(name, func(t *testing.T) {
			selected, q := attack.audit(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			selected.Verdicts(q)
			selected.Conflicts(q.New)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > limit {
				t.Errorf("%d bytes are allocated, more than %d", allocated, limit)
			}
		})
	}
}

func BenchmarkAdversarialDecide(b *testing.B) {
	for name, attack := range attacks(b) {
		b.Run(name, func(b *testing.B) {
			compiled, w := attack.ask(b)
			selected, q := applicable(compiled, w)
			b.ReportAllocs()
			for b.Loop() {
				selected.Decide(q)
			}
		})
	}
}
