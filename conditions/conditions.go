// Package conditions compiles and evaluates the matchConditions of policies:
// CEL, in the environment of the API server itself
// (k8s.io/apiserver/pkg/cel/environment), so that an expression which works in a
// webhook configuration or a ValidatingAdmissionPolicy works here.
package conditions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/functions"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"berth.dev/berth/api/v1alpha1"
)

// The variables of an expression.
const (
	requestVariable   = "request"
	objectVariable    = "object"
	oldObjectVariable = "oldObject"
	namespaceVariable = "namespaceObject"
)

// Variables is what an expression sees, each as its JSON form decoded into maps,
// lists and scalars.
type Variables struct {
	// Request is the AdmissionRequest, without object and oldObject.
	Request map[string]any
	// Object and OldObject are the DaemonSet; OldObject is nil on creation.
	Object, OldObject map[string]any
	// Namespace is the DaemonSet's namespace.
	Namespace map[string]any
}

// Program is the compiled matchConditions of one policy. It is safe for
// concurrent use.
type Program struct {
	conditions []condition
}

type condition struct {
	name string
	// programs are the same but for what an evaluation may cost: MaxCost, and each
	// next one half as much.
	programs [limits]func() (cel.Program, error)
}

// MaxCost bounds what the conditions of all policies may cost together at one
// request, in CEL's units: as much as the API server lets one expression cost. CEL
// stops behind the operation that exceeds it.
const MaxCost = celconfig.PerCallLimit

// limits is how many limits an evaluation may have. CEL fixes them in a program, so
// a condition gets the largest that is left of MaxCost: when 700,000 are spent,
// 250,000. What is left at last, 1/32 of MaxCost or less, nobody gets.
const limits = 6

// Cost is what the conditions that were evaluated at one request have cost.
type Cost uint64

// conditionsEnv is the environment of all conditions, and the functions that it has.
type conditionsEnv struct {
	*cel.Env
	functions map[string]*functions.Overload
}

// newEnv is called once, by the first policy that has a condition: the
// environment costs some megabytes.
var newEnv = sync.OnceValues(func() (*conditionsEnv, error) {
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	extended, err := base.Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			cel.Variable(requestVariable, cel.DynType),
			cel.Variable(objectVariable, cel.DynType),
			cel.Variable(oldObjectVariable, cel.DynType),
			cel.Variable(namespaceVariable, cel.DynType),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the CEL environment: %w", err)
	}
	env, err := extended.Env(environment.NewExpressions)
	if err != nil {
		return nil, fmt.Errorf("prepare the CEL environment: %w", err)
	}
	functions, err := functionsOf(env)
	if err != nil {
		return nil, fmt.Errorf("prepare the functions of CEL: %w", err)
	}
	return &conditionsEnv{env, functions}, nil
})

// What the schema of a policy allows. Beyond it nothing is compiled.
const (
	maxConditions  = 64
	maxExpression  = 4096     // characters
	maxExpressions = 16 << 10 // characters of all expressions together
)

// Compile compiles matchConditions. The errors name the condition and the place
// in its expression.
func Compile(list []v1alpha1.MatchCondition) (*Program, field.ErrorList) {
	if len(list) == 0 {
		return &Program{}, nil
	}
	path := field.NewPath("spec", "matchConditions")
	if len(list) > maxConditions {
		return nil, field.ErrorList{field.TooMany(path, len(list), maxConditions)}
	}
	if sum := characters(list); sum > maxExpressions {
		return nil, field.ErrorList{field.Invalid(path, sum, fmt.Sprintf("the expressions together must not have more than %d characters", maxExpressions))}
	}
	env, err := newEnv()
	if err != nil {
		return nil, field.ErrorList{field.InternalError(path, err)}
	}
	program := &Program{}
	var errs field.ErrorList
	var regexes regexSize
	for i, from := range list {
		at := path.Index(i).Child("expression")
		if utf8.RuneCountInString(from.Expression) > maxExpression {
			errs = append(errs, field.TooLong(at, "", maxExpression))
			continue
		}
		compiled, err := compile(env, from.Expression, &regexes)
		if err != nil {
			errs = append(errs, field.Invalid(at, from.Expression, err.Error()))
			continue
		}
		program.conditions = append(program.conditions, condition{from.Name, compiled})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return program, nil
}

// characters is the length of all expressions together.
func characters(list []v1alpha1.MatchCondition) (sum int) {
	for _, condition := range list {
		sum += utf8.RuneCountInString(condition.Expression)
	}
	return sum
}

// firstOf shows the first error where it is, and counts the others: each shows
// the expression again.
func firstOf(errs []*cel.Error, expression string) error {
	shown := errs[0].ToDisplayString(common.NewTextSource(expression))
	if more := len(errs) - 1; more > 0 {
		shown += fmt.Sprintf("\n(%d more)", more)
	}
	return errors.New(shown)
}

func compile(env *conditionsEnv, expression string, size *regexSize) (programs [limits]func() (cel.Program, error), err error) {
	parsed, issues := env.Parse(expression)
	if errs := issues.Errors(); len(errs) > 0 {
		return programs, firstOf(errs, expression)
	}
	regexes, err := regexesOf(parsed, size)
	if err != nil {
		return programs, err
	}
	ast, issues := env.Check(parsed)
	if errs := issues.Errors(); len(errs) > 0 {
		return programs, firstOf(errs, expression)
	}
	if ast.OutputType() != cel.BoolType {
		return programs, fmt.Errorf("must yield a bool, and yields %s", ast.OutputType())
	}
	bounds := &bounds{functions: env.functions, regexes: regexes}
	for i := range programs {
		// Requests that cost little, as all do, never need the lower limits.
		programs[i] = sync.OnceValues(func() (cel.Program, error) {
			return env.Program(ast, cel.CostLimit(MaxCost>>i), cel.CostTracking(bounds), cel.CostTrackerOptions(trackers()...),
				cel.CustomDecoratorV2(bounds.decorate), cel.InterruptCheckFrequency(celconfig.CheckFrequency))
		})
	}
	for _, program := range programs[:2] {
		if _, err := program(); err != nil {
			return programs, err
		}
	}
	return programs, nil
}

// Empty says whether there is no condition, so that every request matches.
func (p *Program) Empty() bool { return len(p.conditions) == 0 }

// Matches says whether all conditions are true. As in a webhook configuration, a
// condition that is false outweighs one that fails; with none false, the error
// names each that failed. What they cost is added to the request's cost: when too
// little is left of MaxCost, each condition fails without being evaluated.
func (p *Program) Matches(ctx context.Context, vars Variables, cost *Cost) (bool, error) {
	activation := map[string]any{
		requestVariable:   vars.Request,
		objectVariable:    vars.Object,
		oldObjectVariable: nullable(vars.OldObject),
		namespaceVariable: vars.Namespace,
	}
	var errs []error
	for _, c := range p.conditions {
		met, err := c.evaluate(ctx, activation, cost)
		if err != nil {
			errs = append(errs, fmt.Errorf("matchCondition %q: %w", c.name, err))
			continue
		}
		if !met {
			return false, nil
		}
	}
	if len(errs) > 0 {
		return false, errors.Join(errs...)
	}
	return true, nil
}

var errCost = fmt.Errorf("the matchConditions of all policies together cost more than %d at this request", MaxCost)

func (c *condition) evaluate(ctx context.Context, activation map[string]any, cost *Cost) (bool, error) {
	at := 0
	for *cost+(MaxCost>>at) > MaxCost {
		if at++; at == limits {
			return false, errCost
		}
	}
	program, err := c.programs[at]()
	if err != nil {
		return false, err
	}
	result, details, err := program.ContextEval(ctx, activation)
	if details != nil {
		if actual := details.ActualCost(); actual != nil {
			*cost += Cost(*actual)
			if at > 0 && *actual > MaxCost>>at {
				return false, errCost // It could cost more, were it alone.
			}
		}
	}
	if err != nil {
		return false, err
	}
	return result.Value() == true, nil
}

// nullable makes a nil map null in CEL, as oldObject is on creation.
func nullable(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}
