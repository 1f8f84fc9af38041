package conditions

import (
	"fmt"
	"regexp/syntax"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
)

// maxRegex bounds what the regular expressions of one condition compile to, in instructions of some 40 bytes. The ten characters
// (ab){1000} are 2,000 of them and more, and 4,000 could be three million.
const maxRegex = 2000

// regexFunctions are those whose patterns CEL compiles when it checks the expression, where they are literal.
var regexFunctions = map[string]bool{"matches": true, "find": true, "findAll": true}

// checkRegexes refuses regular expressions that would compile to too much. One that is not well formed is CEL's to refuse.
func checkRegexes(parsed *cel.Ast) error {
	instructions := 0
	celast.PostOrderVisit(parsed.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind || !regexFunctions[e.AsCall().FunctionName()] {
			return
		}
		for _, argument := range e.AsCall().Args() {
			if argument.Kind() != celast.LiteralKind {
				continue
			}
			pattern, isString := argument.AsLiteral().Value().(string)
			if !isString {
				continue
			}
			if re, err := syntax.Parse(pattern, syntax.Perl); err == nil {
				instructions += compiledSize(re)
			}
		}
	}))
	if instructions > maxRegex {
		return fmt.Errorf("its regular expressions repeat too much: they compile to %d instructions, more than %d", instructions, maxRegex)
	}
	return nil
}

// compiledSize is about how many instructions a regular expression compiles to: one for each character, class and operator, as often
// as it is repeated. So x{2,5} is five of x, each but the first two with one for the choice.
func compiledSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)/16 // A class has its ranges in one instruction.
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size += compiledSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return size
}
