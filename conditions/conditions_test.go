package conditions_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/conditions"
)

func list(expressions ...string) []v1alpha1.MatchCondition {
	var conditions []v1alpha1.MatchCondition
	for i, expression := range expressions {
		conditions = append(conditions, v1alpha1.MatchCondition{Name: string(rune('a' + i)), Expression: expression})
	}
	return conditions
}

var creation = conditions.Variables{
	Request:   map[string]any{"operation": "CREATE", "userInfo": map[string]any{"username": "eve"}},
	Object:    map[string]any{"metadata": map[string]any{"name": "logs", "labels": map[string]any{"team": "a"}}},
	Namespace: map[string]any{"metadata": map[string]any{"labels": map[string]any{"env": "prod"}}},
}

func TestConditionsSeeTheRequestTheObjectsAndTheNamespace(t *testing.T) {
	tests := map[string]struct {
		expressions []string
		want        bool
		err         string
	}{
		"none":                             {want: true},
		"the request":                      {expressions: []string{`request.operation == 'CREATE'`}, want: true},
		"the user":                         {expressions: []string{`request.userInfo.username != 'system:serviceaccount:kube-system:daemon-set-controller'`}, want: true},
		"the object":                       {expressions: []string{`object.metadata.labels.team == 'b'`}},
		"no old object on creation":        {expressions: []string{`oldObject == null`}, want: true},
		"the namespace":                    {expressions: []string{`namespaceObject.metadata.labels.env == 'prod'`}, want: true},
		"the API server's optional fields": {expressions: []string{`object.?spec.?template.?spec.?priorityClassName.orValue('') == ''`}, want: true},
		"the API server's libraries":       {expressions: []string{`quantity('1Gi').isGreaterThan(quantity('1Mi'))`, `object.metadata.name.find('l.g') == 'log'`}, want: true},
		"all have to be true":              {expressions: []string{`true`, `false`}},
		"a failure":                        {expressions: []string{`true`, `object.spec.x == 1`}, err: `matchCondition "b": no such key: spec`},
		"a false one outweighs a failure":  {expressions: []string{`object.spec.x == 1`, `false`}},
		"one that costs too much":          {expressions: []string{`'a'.matches('a') && [1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a+b+c+d+e+f > 0))))))`}, err: "cost"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			program, errs := conditions.Compile(list(test.expressions...))
			if errs != nil {
				t.Fatal(errs)
			}
			got, err := program.Matches(t.Context(), creation, new(conditions.Cost))
			if got != test.want || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("Matches = %t, %v; want %t, %q", got, err, test.want, test.err)
			}
		})
	}
}

func TestCompileNamesTheExpressionAndThePlace(t *testing.T) {
	tests := map[string]struct{ expression, want string }{
		"too long":             {strings.Repeat(" ", 4097) + "true", `spec.matchConditions[1].expression: Too long: may not be more than 4096`},
		"very wrong":           {strings.Repeat("ü", 4000), "(99 more)"},
		"out of syntax":        {`object.metadata.name ==`, `spec.matchConditions[1].expression: Invalid value: "object.metadata.name ==": ERROR: <input>:1:24: Syntax error`},
		"an unknown variable":  {`objekt.metadata.name == 'a'`, `undeclared reference to 'objekt'`},
		"a regex of 3,000,000": {`'a'.matches('(?:` + strings.Repeat("a", 3000) + `){1000}')`, "compile to 3000002 instructions, more than 10000"},
		"regexes together":     {`'a'.find('.{999}') == '' && 'a'.findAll('(ab){999}', 1) == [] && matches('a', '(abcd){999}') && 'a'.matches('(bcd){999}')`, "compile to 15992 instructions, more than 10000"},
		"classes together":     {`'a'.matches('` + strings.Repeat(`\\pL`, 500) + `')`, "ranges, more than 50000"},
		"a regex of an object": {`object.metadata.name.matches(object.metadata.annotations["re"])`, "the pattern of matches must be written as text, so that what it costs is known"},
		"a regex of namespace": {`matches(object.metadata.name, namespaceObject.metadata.name)`, "the pattern of matches must be written as text"},
		"a regex of parts":     {`object.metadata.name.find("x{1000}" + "x{1000}") == ""`, "the pattern of find must be written as text"},
		"a regex of a list":    {`["x{1000}"].exists(re, object.metadata.name.findAll(re, 1).size() > 0)`, "the pattern of findAll must be written as text"},
		"no regex to find":     {`'a'.find('(') == ''`, "missing closing )"},
		"no regex":             {`'a'.matches('(')`, "invalid matches argument"},
		"no bool":              {`'a' + 'b'`, `must yield a bool, and yields string`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, errs := conditions.Compile(list("true", test.expression))
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), test.want) {
				t.Errorf("errors %v, want one that says %q", errs, test.want)
			}
		})
	}
}

func TestTheExpressionsOfAPolicyTogetherHaveABound(t *testing.T) {
	longest := "true" + strings.Repeat(" ", 4092)
	if _, errs := conditions.Compile(list(slices.Repeat([]string{longest}, 4)...)); errs != nil {
		t.Errorf("16,384 characters: %v", errs)
	}
	_, errs := conditions.Compile(list(append(slices.Repeat([]string{longest}, 4), "objekt")...))
	want := "[spec.matchConditions: Invalid value: 16390: the expressions together must not have more than 16384 characters]"
	if got := fmt.Sprint(errs); got != want {
		t.Errorf("errors %s, want %s", got, want)
	}
}

func TestRegularExpressionsOfOrdinarySizeAreTaken(t *testing.T) {
	names := make([]string, 180)
	for i := range names {
		names[i] = fmt.Sprint("agent-name-", i)
	}
	for name, pattern := range map[string]string{
		"a name":               "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
		"a long name":          "[a-z]{1,253}",
		"letters and digits":   `^[\\p{L}\\p{N}]{1,63}$`,
		"many word characters": `\\w{1,1000}`,
		"many characters":      "^.{1,1000}$",
		"180 names":            "^(" + strings.Join(names, "|") + ")$",
		"a token":              `^[A-Za-z0-9_-]{1,1000}\\.[A-Za-z0-9_-]{1,1000}\\.[A-Za-z0-9_-]{1,1000}$`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, errs := conditions.Compile(list(fmt.Sprintf(`object.metadata.name.matches("%s")`, pattern))); errs != nil {
				t.Error(errs)
			}
		})
	}
}

func TestConditionsOfAllPoliciesTogetherHaveOneCostAtARequest(t *testing.T) {
	var tolerations []any
	for i := range 10_000 {
		tolerations = append(tolerations, map[string]any{"key": fmt.Sprint("key-", i), "operator": "Exists"})
	}
	large := creation
	large.Object = map[string]any{"tolerations": tolerations}
	program, errs := conditions.Compile(list(`object.tolerations.all(t, t.key.startsWith('key-') && t.operator == 'Exists')`))
	if errs != nil {
		t.Fatal(errs)
	}
	var cost conditions.Cost
	var answers []string
	for range 64 {
		met, err := program.Matches(t.Context(), large, &cost)
		answers = append(answers, fmt.Sprint(met, " ", err))
	}
	first := slices.IndexFunc(answers, func(answer string) bool { return answer != answers[0] })
	if answers[0] != "true <nil>" || first < 1 || cost > conditions.MaxCost+100 {
		t.Fatalf("the first answer is %q, the %dth another; all cost %d", answers[0], first+1, cost)
	}
	refused := `false matchCondition "a": the matchConditions of all policies together cost more than 1000000 at this request`
	for i := first + 1; i < len(answers); i++ {
		if answers[i] != refused {
			t.Fatalf("answer %d is %q, want %q", i, answers[i], refused)
		}
	}
	if met, err := program.Matches(t.Context(), large, new(conditions.Cost)); !met || err != nil {
		t.Errorf("at another request: %t, %v", met, err)
	}
}

func TestAConditionThatFailsByItsCostCostsTheRequestAllTheSame(t *testing.T) {
	ten := `[1,2,3,4,5,6,7,8,9,10].all(%s, %s)`
	expression := "a+b+c+d+e+f > 0"
	for _, variable := range []string{"f", "e", "d", "c", "b", "a"} {
		expression = fmt.Sprintf(ten, variable, expression)
	}
	program, errs := conditions.Compile(list(expression))
	if errs != nil {
		t.Fatal(errs)
	}
	var cost conditions.Cost
	for range 3 {
		if _, err := program.Matches(t.Context(), creation, &cost); err == nil || cost < conditions.MaxCost || cost > conditions.MaxCost+100 {
			t.Errorf("error %v and cost %d, want an error and %d or little more", err, cost, conditions.MaxCost)
		}
	}
}
