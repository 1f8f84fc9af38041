package conditions

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
)

// What the regular expressions of a policy may compile to: instructions of 40 bytes, and the ranges of their classes, of 8. The ten
// characters (ab){1000} are 2,000 instructions and more, and 4,000 could be three million; the three of \pL are 600 ranges.
const (
	maxRegex  = 10_000
	maxRanges = 50_000
)

// regexFunctions are those whose second argument, or the first beside a target, is a pattern.
var regexFunctions = map[string]bool{"matches": true, "find": true, "findAll": true}

// pattern is a regular expression of a condition, compiled by its first program.
type pattern struct {
	compiled     *regexp.Regexp
	instructions int
}

// regexSize is what regular expressions compile to.
type regexSize struct{ instructions, ranges int }

// regexesOf returns the regular expressions of a condition, not compiled yet, and adds their size to sum, its policy's. It refuses
// those that would compile to too much, and those that are known only when the condition is evaluated. One that is not well formed is
// CEL's to refuse.
func regexesOf(parsed *cel.Ast, sum *regexSize) (map[string]*pattern, error) {
	patterns := map[string]*pattern{}
	var errs []error
	celast.PostOrderVisit(parsed.NativeRep().Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		if e.Kind() != celast.CallKind || !regexFunctions[e.AsCall().FunctionName()] {
			return
		}
		call, at := e.AsCall(), 0
		if !call.IsMemberFunction() {
			at = 1
		}
		if len(call.Args()) <= at {
			return
		}
		argument := call.Args()[at]
		if argument.Kind() != celast.LiteralKind {
			errs = append(errs, fmt.Errorf("the pattern of %s must be written as text, so that what it costs is known", call.FunctionName()))
			return
		}
		text, isString := argument.AsLiteral().Value().(string)
		if _, again := patterns[text]; again || !isString {
			return
		}
		re, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			patterns[text] = &pattern{}
			return
		}
		instructions := 2 + compiledSize(re) // One that fails, and one that matches.
		sum.instructions += instructions
		sum.ranges += rangesOf(re)
		patterns[text] = &pattern{instructions: instructions}
	}))
	if len(errs) > 0 {
		return nil, errs[0]
	}
	switch {
	case len(patterns) == 0:
	case sum.instructions > maxRegex:
		return nil, fmt.Errorf("the policy's regular expressions up to here compile to %d instructions, more than %d", sum.instructions, maxRegex)
	case sum.ranges > maxRanges:
		return nil, fmt.Errorf("the classes of the policy's regular expressions up to here have %d ranges, more than %d", sum.ranges, maxRanges)
	}
	return patterns, nil
}

// compiledSize is how many instructions a regular expression compiles to, as regexp/syntax does but for (x*)*. A class is one,
// whatever its ranges. Its parser takes no expression of more than some millions.
func compiledSize(re *syntax.Regexp) int {
	size := 0
	for _, sub := range re.Sub {
		size += compiledSize(sub)
	}
	switch re.Op {
	case syntax.OpNoMatch:
		return 0
	case syntax.OpLiteral:
		return max(len(re.Rune), 1)
	case syntax.OpConcat:
		return max(size, 1)
	case syntax.OpAlternate:
		return size + len(re.Sub) - 1
	case syntax.OpCapture:
		return size + 2
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		return size + 1
	case syntax.OpRepeat:
		return repeatedSize(size, re.Min, re.Max)
	default: // a character, a class or a place
		return 1
	}
}

// repeatedSize is how many instructions x{least,most} compiles to: each x beyond the least has one for the choice.
func repeatedSize(size, least, most int) int {
	switch {
	case most < 0:
		return max(least, 1)*size + 1
	case most == 0:
		return 1
	}
	return least*size + (most-least)*(size+1)
}

// rangesOf counts the ranges of all classes. What is repeated shares them.
func rangesOf(re *syntax.Regexp) int {
	ranges := 0
	if re.Op == syntax.OpCharClass {
		ranges = len(re.Rune) / 2
	}
	for _, sub := range re.Sub {
		ranges += rangesOf(sub)
	}
	return ranges
}
