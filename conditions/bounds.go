package conditions

import (
	"errors"
	"fmt"
	"math"
	"regexp"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
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
	unequal := func(a, b ref.Val) ref.Val { return types.Bool(types.Equal(a, b) != types.True) }
	all[operators.Equals] = &functions.Overload{Binary: types.Equal}
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
	taken := uint64(1 + steps/stepsOfUnit + lengthOf(result)/10 + sizeOf(result)) //nolint:gosec // none is negative
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
