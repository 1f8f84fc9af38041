package conditions_test

import (
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/conditions"
)

// The policies within the bounds that cost the most.
func BenchmarkCompile(b *testing.B) {
	for name, expressions := range map[string][]string{
		"ordinary":               {`request.userInfo.username != 'system:serviceaccount:monitoring:operator'`, `object.spec.template.spec.?hostNetwork.orValue(false) == true`},
		"few and long macros":    slices.Repeat([]string{"true" + strings.Repeat("&&[].all(a,a)", 314)}, 4),
		"many and short macros":  slices.Repeat([]string{"true" + strings.Repeat("&&[].all(a,a)", 19)}, 64),
		"few and long fields":    slices.Repeat([]string{"true" + strings.Repeat("&&object.a.b.c==1", 240)}, 4),
		"many and long patterns": slices.Repeat([]string{"'a'.matches('(?:(?:ab)|c){38}')"}, 64),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, errs := conditions.Compile(list(expressions...)); errs != nil {
					b.Fatal(errs)
				}
			}
		})
	}
}
