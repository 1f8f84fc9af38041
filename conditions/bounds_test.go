package conditions_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"berth.dev/berth/conditions"
)

// annotated is a creation whose DaemonSet has the annotation x.
func annotated(x string) conditions.Variables {
	vars := creation
	vars.Object = map[string]any{"metadata": map[string]any{"name": "logs", "annotations": map[string]any{"x": x}}}
	return vars
}

// large are expressions with one call each that takes long or makes much, when x is 200,000 times a.
var large = map[string]string{
	"replace":                  `X.replace("a", X).size() > 0`,
	"replace by count":         `X.replace("a", X, 100).size() > 0`,
	"replace of nothing":       `X.replace("", X).size() > 0`,
	"replace again and again":  `X.replace("a", "aaa").replace("a", "aaa").size() > 0`,
	"quantity":                 `quantity("1e10000000").isGreaterThan(quantity("1"))`,
	"quantity of 10 digits":    `quantity("1E-1000000000").isGreaterThan(quantity("1"))`,
	"quantity of many digits":  `quantity(X.replace("a", "1")).isGreaterThan(quantity("1"))`,
	"isQuantity":               `isQuantity("1e1000000000")`,
	"lists that double":        `[[1]].map(x,x+x+x+x+x+x+x+x+x+x).map(x,x+x+x+x+x+x+x+x+x+x).map(x,x+x+x+x+x+x+x+x+x+x).map(x,x+x+x+x+x+x+x+x+x+x).map(x,x+x+x+x+x+x+x+x+x+x).map(x,x+x+x+x+x+x+x+x+x+x).all(x,x.sum()>0)`,
	"lists in lists":           `[1].map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x]).all(x, x == x)`,
	"lists in lists shown":     `"%s".format([[1].map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x]).map(x,[x,x,x,x,x,x,x,x,x,x])]) == ""`,
	"strings that double":      `(X+X+X+X+X+X).size() > 0`,
	"sets.contains":            `sets.contains(lists.range(10000), lists.range(10000))`,
	"sets.intersects":          `sets.intersects(lists.range(10000), lists.range(10000).map(i, i+10000))`,
	"sets.equivalent":          `sets.equivalent(lists.range(10000), lists.range(10000))`,
	"distinct":                 `lists.range(10000).distinct().size() > 0`,
	"lists.range":              `lists.range(10000000).size() > 0`,
	"split":                    `X.split("").size() > 0`,
	"join":                     `[X, X, X, X, X, X].join("").size() > 0`,
	"join with":                `lists.range(10).map(i, "").join(X).size() > 0`,
	"format":                   `"%s%s%s%s%s%s".format([X, X, X, X, X, X]).size() > 0`,
	"format of digits":         `"%.1000000f".format([1.0]).size() > 0`,
	"findAll of empty matches": `X.findAll("a*?").size() > 0`,
	"findAll to the end":       `X.findAll("a.*b|a").size() > 0`,
	"matches":                  `X.matches("(x{0,1000}y)|(a{0,1000}b)")`,
}

func TestASingleCallThatIsTooLargeFails(t *testing.T) {
	vars := annotated(strings.Repeat("a", 200_000))
	for name, expression := range large {
		t.Run(name, func(t *testing.T) {
			program, errs := conditions.Compile(list(strings.ReplaceAll(expression, "X", "object.metadata.annotations.x")))
			if errs != nil {
				t.Fatal(errs)
			}
			_, err := program.Matches(t.Context(), vars, new(conditions.Cost))
			if err == nil || !strings.Contains(err.Error(), "too large") {
				t.Errorf("error %v, want one that says that it is too large", err)
			}
		})
	}
}

func TestWhatACallDoesAndMakesIsCharged(t *testing.T) {
	vars := annotated(strings.Repeat("a", 100_000))
	vars.Object["list"] = []any{make([]any, 1000)}
	for expression, least := range map[string]conditions.Cost{
		`object.list == object.list`:                                                   250,
		`object.metadata.annotations.x + object.metadata.annotations.x != ""`:          20_000,
		`object.metadata.annotations.x < object.metadata.annotations.x`:                1000,
		`object.list.flatten().size() > 0`:                                             1000,
		`object.metadata.annotations.x.substring(0, 500).findAll("a.*b|a").size() > 0`: 10_000,
		`sets.contains(object.list, object.list)`:                                      250,
		`object.list[0] in object.list`:                                                250,
		`"%s".format([object.metadata.annotations.x]) != ""`:                           10_000,
		`object.metadata.annotations.x.matches("(?:a?){10}a{10}$b")`:                   30_000,
		`object.metadata.annotations.x.charAt(1) == "a"`:                               1000,
		`object.metadata.annotations.x.replace("a", "aaaaa").size() > 0`:               50_000,
	} {
		program, errs := conditions.Compile(list(expression))
		if errs != nil {
			t.Fatal(errs)
		}
		var cost conditions.Cost
		if _, err := program.Matches(t.Context(), vars, &cost); err != nil || cost < least {
			t.Errorf("%s: %v, and it costs %d, want %d at least", expression, err, cost, least)
		}
	}
}

func TestIndexesAreThoseOfCEL(t *testing.T) {
	env, err := cel.NewEnv(ext.Strings(ext.StringsVersion(2)))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "a", "abcabc", "äöüäöü", "aaaa", "日本日本x"} {
		for _, substring := range []string{"", "a", "abc", "öü", "本", "aa", "x", "日本日本xx", "b"} {
			for _, function := range []string{"indexOf", "lastIndexOf"} {
				for offset := -2; offset < 9; offset++ {
					call := fmt.Sprintf("%q.%s(%q, %d)", s, function, substring, offset)
					if offset == -2 {
						call = fmt.Sprintf("%q.%s(%q)", s, function, substring)
					}
					ast, issues := env.Compile(call)
					if issues.Err() != nil {
						t.Fatal(issues)
					}
					program, err := env.Program(ast)
					if err != nil {
						t.Fatal(err)
					}
					want, wantErr := "", ""
					if result, _, err := program.Eval(cel.NoVars()); err != nil {
						wantErr = err.Error()
					} else {
						want = fmt.Sprint(result.Value())
					}
					compiled, errs := conditions.Compile(list(fmt.Sprintf("string(%s) == %q", call, want)))
					if errs != nil {
						t.Fatal(errs)
					}
					met, err := compiled.Matches(t.Context(), creation, new(conditions.Cost))
					if wantErr == "" && (!met || err != nil) {
						t.Errorf("%s is not %s: %v", call, want, err)
					}
					if wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
						t.Errorf("%s fails by %v, want %s", call, err, wantErr)
					}
				}
			}
		}
	}
}

func TestOrdinaryCallsOfWhatIsBoundedAnswerAsBefore(t *testing.T) {
	for _, expression := range []string{
		`quantity("1.5Gi").add(quantity("1e3")).compareTo(quantity("1Gi")) == 1 && quantity("1E") == quantity("1e18") && !isQuantity("x")`,
		`"a-b-c".replace("-", "") == "abc" && "a-b-c".replace("-", "+", 1) == "a+b-c" && "ab".replace("", "-") == "-a-b-"`,
		`"a,b".split(",").join("-") == "a-b" && ["a", "b"].join() == "ab" && "%s %d %.2f %s".format(["a", 1, 2.0, [1, 2]]) == "a 1 2.00 [1, 2]"`,
		`"ab12".find("[0-9]+") == "12" && "a1b2".findAll("[0-9]") == ["1", "2"] && "a1b2".findAll("[0-9]", 1) == ["1"] && "a".findAll("b") == []`,
		`"a".matches("^a$") && matches("a", "^a$") && !dyn("b").matches("a") && dyn("b").indexOf("b") == 0`,
		`[1, 2].indexOf(2) == 1 && [1, 2, 1].lastIndexOf(1) == 2 && dyn([1, 2]).indexOf(2) == 1 && dyn([2, 1]).sort() == [1, 2]`,
		`[3, 1, 2].sort() == [1, 2, 3] && [1, 1].distinct() == [1] && [[1], [2]].flatten() == [1, 2] && [1, 2].sum() == 3 && [1, 2].max() == 2`,
		`sets.contains([1, 2], [1]) && !sets.intersects([1], [2]) && sets.equivalent([1, 2], [2, 1]) && 1 in [1, 2] && "a" in {"a": 1}`,
		`"äb".size() == 2 && size([1]) == 1 && size({"a": 1}) == 1 && "abc".substring(1) == "bc" && "abc".charAt(1) == "b" && lists.range(3) == [0, 1, 2]`,
		`object == object && object != oldObject && object.metadata.labels == {"team": "a"} && dyn(1) == dyn(1.0) && dyn(1) != dyn("1")`,
		`[{"n": 2}, {"n": 1}].sortBy(e, e.n) == [{"n": 1}, {"n": 2}] && optional.of([1]) == optional.of([1]) && timestamp("2026-01-01T00:00:00Z") == timestamp("2026-01-01T00:00:00Z")`,
	} {
		program, errs := conditions.Compile(list(expression))
		if errs != nil {
			t.Error(errs)
			continue
		}
		if met, err := program.Matches(t.Context(), creation, new(conditions.Cost)); !met || err != nil {
			t.Errorf("%s: %t, %v", expression, met, err)
		}
	}
}
