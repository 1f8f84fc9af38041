package conditions

import (
	"regexp/syntax"
	"testing"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

func TestTheSizeOfARegularExpressionIsWhatItCompilesTo(t *testing.T) {
	for _, text := range []string{
		"", "a", "abc", ".", "[a-z]", `[\p{L}\p{N}]`, "^a$", `\bx`, "a|bc|d", "(a)", "(?:ab)*", "a+", "a?", "(a*)+", "(?i)k",
		"a{0}", "a{1}", "a{3}", "a{0,}", "a{1,}", "a{3,}", "a{0,3}", "a{2,5}", "(ab){1000}", "((a{2,3}){0,4}|b){5}", "^.{1,1000}$", `^[\p{L}\p{N}]{1,63}$`,
		"agent-1|agent-2|agent-3|other", "(?s).*x{2,}?", "[a-z]{1,253}", "(){5}", "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
	} {
		re, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		program, err := syntax.Compile(re.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		parsed, _ := syntax.Parse(text, syntax.Perl)
		if got, want := 2+compiledSize(parsed), len(program.Inst); got != want {
			t.Errorf("%q: %d instructions, want %d", text, got, want)
		}
	}
}

func TestWhatTakesTheProductOfItsListsIsKnownBefore(t *testing.T) {
	numbers := func(size int) ref.Val { return types.NewDynamicList(types.DefaultTypeAdapter, make([]int64, size)) }
	for _, name := range []string{"sets.contains", "sets.intersects", "sets.equivalent", "distinct"} {
		for size, want := range map[int]bool{400: false, 10_000: true} {
			if steps := stepsOf[name]([]ref.Val{numbers(size), numbers(size)}); steps > maxSteps != want {
				t.Errorf("%s of %d elements: %d steps", name, size, steps)
			}
		}
	}
}
