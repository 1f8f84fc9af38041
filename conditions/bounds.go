package conditions

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apiserver/pkg/cel/library"
)

// What a single call may make and do. CEL charges what a call costs when it is done, and some
// it charges too little: so these bounds are checked before, and what is within them is charged.
const (
	maxString   = 1 << 20 // bytes
	maxElements = 100_000 // of a list
	maxSteps    = 10_000_000
	// A unit of CEL's cost is some 100 steps, each of them some nanoseconds.
	stepsOfUnit = 100
	maxQuantity = 64 // bytes
)

// valueSteps is how many steps it takes to look at a number, or at a string but for its bytes.
const valueSteps = 25

// tooMuch is more than any call may do.
const tooMuch = math.MaxInt32

// bounds are those of the calls of one condition.
type bounds struct {
	library.CostEstimator
	functions map[string]*functions.Overload // by overload and by function
	regexes   map[string]*pattern
}

// functionsOf are the implementations of an environment's functions, as its programs look them up.
func functionsOf(env *cel.Env) (map[string]*functions.Overload, error) {
	all := map[string]*functions.Overload{}
	for _, function := range env.Functions() {
		bindings, err := function.Bindings()
		if err != nil {
			return nil, err
		}
		for _, binding := range bindings {
			all[binding.Operator] = binding
		}
	}
	equal := func(a, b ref.Val) ref.Val { return types.Equal(a, b) }
	unequal := func(a, b ref.Val) ref.Val { return types.Bool(types.Equal(a, b) != types.True) }
	all[operators.Equals] = &functions.Overload{Binary: equal}
	all[operators.NotEquals] = &functions.Overload{Binary: unequal}
	return all, nil
}

// decorate bounds a call: what it does before, and what it makes after.
func (b *bounds) decorate(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, isCall := i.(interpreter.InterpretableCall)
	if !isCall {
		return i, nil
	}
	function := b.functions[call.OverloadID()]
	if function == nil || call.Function() == operators.Equals || call.Function() == operators.NotEquals {
		function = b.functions[call.Function()]
	}
	args := call.Args()
	switch {
	case regexFunctions[call.Function()]:
		if err := b.compile(args[1]); err != nil {
			return nil, err
		}
		// Otherwise CEL compiles the pattern once for each of the condition's programs, and calls it without bounds.
		args = append([]interpreter.InterpretableV2{args[0], noConstant{args[1]}}, args[2:]...)
		function = &functions.Overload{Function: b.match(call.Function())}
	case call.Function() == "indexOf" || call.Function() == "lastIndexOf":
		function = &functions.Overload{Function: index(call.Function(), function)}
	}
	if _, bounded := stepsOf[call.Function()]; function != nil && (bounded || regexFunctions[call.Function()]) {
		call = interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), args, func(args ...ref.Val) ref.Val {
			if b.steps(call.Function(), args) > maxSteps {
				return tooLarge(call.Function())
			}
			return apply(function, call.Function(), args)
		})
	}
	return bounded{call}, nil
}

// tooLarge is the error of a call that would do or make too much.
func tooLarge(function string) ref.Val {
	if operator, isOperator := operators.FindReverse(function); isOperator && operator != "" {
		function = operator
	}
	return types.NewErr("%s: too large", function)
}

// apply calls a function as CEL's own calls do.
func apply(function *functions.Overload, name string, args []ref.Val) ref.Val {
	switch {
	case function.OperandTrait != 0 && !args[0].Type().HasTrait(function.OperandTrait):
		return types.NewErr("no such overload: %s", name)
	case len(args) == 1 && function.Unary != nil:
		return function.Unary(args[0])
	case len(args) == 2 && function.Binary != nil:
		return function.Binary(args[0], args[1])
	case function.Function != nil:
		return function.Function(args...)
	}
	return types.NewErr("no such overload: %s", name)
}

// CallCost is what a call costs, in CEL's units: at least the steps that it takes, and what it makes. Where the type of a variable
// is not known before, as is that of all that an object has, CEL itself charges one unit for a concatenation and a comparison.
func (b *bounds) CallCost(function, overload string, args []ref.Val, result ref.Val) *uint64 {
	cost := b.CostEstimator.CallCost(function, overload, args, result)
	steps := 0
	switch function {
	case operators.Add, "string", "bytes":
		if lengthOf(result) == 0 {
			return cost
		}
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		steps = min(lengthOf(args[0]), lengthOf(args[1]))
	default:
		if _, bounded := stepsOf[function]; !bounded && !regexFunctions[function] {
			return cost
		}
		steps = min(b.steps(function, args), maxSteps)
	}
	if function == "findAll" {
		steps = min(product(steps, 1+sizeOf(result)), maxSteps)
		if types.IsError(result) {
			steps = maxSteps // It may have looked for so many matches.
		}
	}
	// As CEL charges for strings and lists.
	taken := uint64(1 + steps/stepsOfUnit + lengthOf(result)/10 + sizeOf(result))
	if cost == nil || *cost < taken {
		return &taken
	}
	return cost
}

// trackers leave to CallCost what CEL charges by the length of a list, however large its elements are.
func trackers() []interpreter.CostTrackerOption {
	overloads := []string{"list_flatten", "list_flatten_int", "list_distinct", "list_sets_contains_list", "list_sets_intersects_list", "list_sets_equivalent_list"}
	for _, of := range []*cel.Type{cel.IntType, cel.UintType, cel.DoubleType, cel.BoolType, cel.DurationType, cel.TimestampType, cel.StringType, cel.BytesType} {
		overloads = append(overloads, fmt.Sprintf("list_%s_sort", of.TypeName()), fmt.Sprintf("list_%s_sortByAssociatedKeys", of.TypeName()))
	}
	var options []interpreter.CostTrackerOption
	for _, overload := range overloads {
		options = append(options, interpreter.OverloadCostTracker(overload, func([]ref.Val, ref.Val) *uint64 { return nil }))
	}
	return options
}

// compile compiles a pattern, for all programs of the condition once.
func (b *bounds) compile(argument interpreter.InterpretableV2) (err error) {
	constant, isConstant := argument.(interpreter.InterpretableConst)
	if !isConstant {
		return errors.New("a pattern is no constant")
	}
	p := b.regexes[text(constant.Value())]
	if p == nil {
		return fmt.Errorf("the pattern %q was not looked at", text(constant.Value()))
	}
	if p.compiled == nil {
		p.compiled, err = regexp.Compile(text(constant.Value()))
	}
	return err
}

// noConstant hides that an argument is a constant.
type noConstant struct{ interpreter.InterpretableV2 }

// bounded is a call whose result is an error when it is too large.
type bounded struct{ interpreter.InterpretableCall }

// Exec implements interpreter.InterpretableV2.
func (b bounded) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	return b.within(b.InterpretableCall.Exec(frame))
}

// Eval implements interpreter.Interpretable.
func (b bounded) Eval(activation interpreter.Activation) ref.Val {
	return b.within(b.InterpretableCall.Eval(activation))
}

func (b bounded) within(result ref.Val) ref.Val {
	if lengthOf(result) > maxString || sizeOf(result) > maxElements {
		return tooLarge(b.Function())
	}
	return result
}

// match is matches, find or findAll with the patterns that are compiled already.
func (b *bounds) match(name string) functions.FunctionOp {
	return func(args ...ref.Val) ref.Val {
		in, isString := args[0].(types.String)
		if !isString {
			return types.MaybeNoSuchOverloadErr(args[0])
		}
		re := b.regexes[text(args[1])].compiled
		switch name {
		case "matches":
			return types.Bool(re.MatchString(string(in)))
		case "find":
			return types.String(re.FindString(string(in)))
		}
		want := types.Int(-1)
		if len(args) == 3 {
			limit, isInt := args[2].(types.Int)
			if !isInt {
				return types.MaybeNoSuchOverloadErr(args[2])
			}
			want = limit
		}
		// Each match may take as many steps as one that looks at all of the text.
		most := types.Int(maxSteps / max(b.steps(name, args), 1))
		if want >= 0 && want <= most {
			return types.NewStringList(types.DefaultTypeAdapter, re.FindAllString(string(in), int(want)))
		}
		found := re.FindAllString(string(in), int(most)+1)
		if len(found) > int(most) {
			return tooLarge(name)
		}
		return types.NewStringList(types.DefaultTypeAdapter, found)
	}
}

// steps is about how many steps a call takes, known before it is made.
func (b *bounds) steps(function string, args []ref.Val) int {
	if regexFunctions[function] {
		if p := b.regexes[text(args[1])]; p != nil {
			return product(1+len(text(args[0])), p.instructions)
		}
		return tooMuch
	}
	return stepsOf[function](args)
}

// stepsOf says of the functions of the environment how many steps a call takes. Those that are not here take a constant number,
// or are linear and charged by CEL or by CallCost: arithmetic, comparison and concatenation, contains, startsWith, conversions, url, ip, cidr, semver, format.named.
var stepsOf = map[string]func(args []ref.Val) int{
	operators.Equals:    func(args []ref.Val) int { return min(weight(args[0]), weight(args[1])) },
	operators.NotEquals: func(args []ref.Val) int { return min(weight(args[0]), weight(args[1])) },
	operators.In:        func(args []ref.Val) int { return membership(args[1], args[0]) },
	"includes":          func(args []ref.Val) int { return membership(args[0], args[1]) },
	"indexOf":           search,
	"lastIndexOf":       search,
	"sets.contains":     pairs,
	"sets.equivalent":   func(args []ref.Val) int { return 2 * pairs(args) },
	"sets.intersects":   pairs,
	"distinct":          func(args []ref.Val) int { return product(sizeOf(args[0]), weight(args[0])) },
	"sort":              func(args []ref.Val) int { return sorting(args[0]) },
	"@sortByAssociatedKeys": func(args []ref.Val) int {
		return sorting(args[1])
	},
	"isSorted":      whole,
	"sum":           whole,
	"min":           whole,
	"max":           whole,
	"flatten":       whole,
	"slice":         whole,
	"reverse":       whole,
	"size":          ofText,
	"charAt":        ofText,
	"substring":     ofText,
	"lowerAscii":    ofText,
	"upperAscii":    ofText,
	"trim":          ofText,
	"strings.quote": ofText,
	"split":         func(args []ref.Val) int { return product(len(text(args[0])), valueSteps) },
	"lists.range":   ranging,
	"replace":       replacing,
	"join":          joining,
	"format":        formatting,
	"quantity":      quantity,
	"isQuantity":    quantity,
}

// lengthOf is how many bytes a string has, or bytes have.
func lengthOf(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return len(v)
	}
	return 0
}

func text(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

// sizeOf is how many elements a list has.
func sizeOf(v ref.Val) int {
	if list, isList := v.(traits.Lister); isList {
		if size, isInt := list.Size().(types.Int); isInt {
			return int(size)
		}
	}
	return 0
}

// product is a*b, or too much.
func product(a, b int) int {
	if high, low := bits.Mul64(uint64(a), uint64(b)); high == 0 && low < tooMuch {
		return int(low)
	}
	return tooMuch
}

// walk adds up what leaf says of a value and of all that it contains, until that is too much. A list may contain another many
// times, and that one yet another: it is as large as if it were written out. So leaf says no zero.
func walk(v ref.Val, leaf func(ref.Val) int) int {
	sum := 0
	var visit func(ref.Val)
	visit = func(v ref.Val) {
		sum = min(sum+leaf(v), tooMuch)
		switch v := v.(type) {
		case *types.Optional:
			if v.HasValue() {
				visit(v.GetValue())
			}
		case traits.Lister:
			for it := v.Iterator(); sum <= maxSteps && it.HasNext() == types.True; {
				visit(it.Next())
			}
		case traits.Mapper:
			for it := v.Iterator(); sum <= maxSteps && it.HasNext() == types.True; {
				key := it.Next()
				visit(key)
				visit(v.Get(key))
			}
		}
	}
	visit(v)
	return sum
}

// weight is how many steps it takes to look at all of a value.
func weight(v ref.Val) int {
	return walk(v, func(v ref.Val) int {
		return valueSteps + lengthOf(v)/8
	})
}

func whole(args []ref.Val) int  { return weight(args[0]) }
func ofText(args []ref.Val) int { return len(text(args[0])) }

// sorting is how many steps it takes to sort a list by its elements.
func sorting(list ref.Val) int { return product(weight(list), bits.Len(uint(sizeOf(list)))) }

// membership is how many steps it takes to compare an element with all of a list.
func membership(list, element ref.Val) int {
	if _, isList := list.(traits.Lister); !isList {
		return valueSteps
	}
	return min(weight(list), product(1+sizeOf(list), weight(element)))
}

// pairs is how many steps it takes to compare all elements of a list with all of another.
func pairs(args []ref.Val) int {
	a, b := args[0], args[1]
	return min(product(weight(a), 1+sizeOf(b)), product(weight(b), 1+sizeOf(a)))
}

// search is how many steps it takes to look for a text in another, or for an element in a list.
func search(args []ref.Val) int {
	if s, isString := args[0].(types.String); isString {
		return len(s) + len(text(args[1]))
	}
	return membership(args[0], args[1])
}

// index is indexOf or lastIndexOf: of strings in linear time, which CEL's take the product of their lengths for.
func index(name string, lists *functions.Overload) functions.FunctionOp {
	return func(args ...ref.Val) ref.Val {
		s, isString := args[0].(types.String)
		substring, isText := args[1].(types.String)
		if !isString || !isText {
			return apply(lists, name, args)
		}
		offset, hasOffset := types.Int(0), len(args) == 3
		if hasOffset {
			offset, isText = args[2].(types.Int)
			if !isText {
				return types.MaybeNoSuchOverloadErr(args[2])
			}
		}
		if offset < 0 {
			return types.NewErr("index out of range: %d", offset)
		}
		if name == "lastIndexOf" {
			return lastIndexOf(string(s), string(substring), int(offset), hasOffset)
		}
		return indexOf(string(s), string(substring), int(offset))
	}
}

// indexOf is the character at which substring is first in s, from the character offset on.
func indexOf(s, substring string, offset int) ref.Val {
	if substring == "" {
		return types.Int(min(offset, utf8.RuneCountInString(s)))
	}
	from := byteOf(s, offset)
	at := strings.Index(s[from:], substring)
	if at < 0 {
		return types.IntNegOne
	}
	return types.Int(utf8.RuneCountInString(s[:from+at]))
}

// lastIndexOf is the character at which substring is last in s, up to the character offset if there is one.
func lastIndexOf(s, substring string, offset int, hasOffset bool) ref.Val {
	until := len(s)
	switch {
	case substring == "" && hasOffset:
		return types.Int(min(offset, utf8.RuneCountInString(s)))
	case substring == "":
		return types.Int(utf8.RuneCountInString(s))
	case hasOffset:
		at := byteOf(s, offset)
		if at == len(s) {
			return types.IntNegOne
		}
		until = min(until, at+len(substring))
	}
	at := strings.LastIndex(s[:until], substring)
	if at < 0 {
		return types.IntNegOne
	}
	return types.Int(utf8.RuneCountInString(s[:at]))
}

// byteOf is where the character at offset begins, or the end.
func byteOf(s string, offset int) int {
	for at := range s {
		if offset == 0 {
			return at
		}
		offset--
	}
	return len(s)
}

func ranging(args []ref.Val) int {
	n, _ := args[0].(types.Int)
	if n > maxElements {
		return tooMuch
	}
	return max(int(n), 0) * valueSteps
}

// making is how many steps it takes to make a text of so many bytes.
func making(size int) int {
	if size > maxString {
		return tooMuch
	}
	return size
}

func replacing(args []ref.Val) int {
	s, old, by := text(args[0]), text(args[1]), text(args[2])
	count := strings.Count(s, old)
	if len(args) == 4 {
		if most, _ := args[3].(types.Int); most >= 0 {
			count = int(min(most, types.Int(count)))
		}
	}
	return max(len(s), making(min(len(s)+product(count, len(by))-count*len(old), tooMuch)))
}

func joining(args []ref.Val) int {
	size := walk(args[0], func(v ref.Val) int { return 1 + len(text(v)) })
	if len(args) == 2 {
		size += product(sizeOf(args[0]), len(text(args[1])))
	}
	return max(sizeOf(args[0]), making(size))
}

// precision is what a format asks for: %.3f
var precision = regexp.MustCompile(`%\.[0-9]*`)

// formatting bounds what format makes: a text may be quoted, and escaped to four bytes each; a number may have 309 digits before its point.
func formatting(args []ref.Val) int {
	size := len(text(args[0]))
	for _, clause := range precision.FindAllString(text(args[0]), -1) {
		digits := 0
		if _, err := fmt.Sscan(clause[2:], &digits); err != nil && len(clause) > 2 || digits > 100 {
			return tooMuch
		}
		size += digits
	}
	return making(size + walk(args[1], func(v ref.Val) int {
		switch v.(type) {
		case types.Double:
			return 320
		}
		return 64 + 4*lengthOf(v)
	}))
}

// quantity refuses what is no quantity that anyone writes: an exponent is a power of ten that is computed.
func quantity(args []ref.Val) int {
	s := text(args[0])
	if len(s) > maxQuantity {
		return tooMuch
	}
	if at := strings.LastIndexAny(s, "eE"); at >= 0 && len(strings.TrimLeft(s[at+1:], "+-")) > 2 {
		return tooMuch
	}
	return maxQuantity
}
