package admission

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
)

// evaluate answers the review in the mutating phase.
func (e Evaluator) evaluate(t *testing.T, snapshot *cluster.Snapshot, body string) (Answer, error) {
	t.Helper()
	var review Review
	if err := review.Locate([]byte(body)); err != nil {
		t.Fatal(err)
	}
	asked, invalid := review.Request()
	if invalid != nil {
		t.Fatal(invalid)
	}
	e.Answer = Mutation
	return e.Evaluate(t.Context(), &review, asked, snapshot)
}

func TestWhatCannotBeDecidedIsAnErrorThatSaysOfWhatKind(t *testing.T) {
	const kib = 1 << 10
	large := createReview(strings.Replace(tutorial, `"spec":{`, `"status":{"x":"`+strings.Repeat("x", 100*kib)+`"},"spec":{`, 1))
	elsewhere := strings.Replace(createReview(tutorial), `"namespace":"default","op`, `"namespace":"new","op`, 1)
	all := ownLabels(t, v1alpha1.MatchCondition{Name: "all", Expression: "true"})
	roomy := fixedBudget{200 * kib, 200 * kib}
	for name, test := range map[string]struct {
		evaluator Evaluator
		body      string
		is        func(error) bool
		want      string
	}{
		"a malformed object": {
			Evaluator{}, createReview(`{"metadata":3}`),
			isA[*field.Error], "request.object.metadata: Invalid value: must be an object",
		},
		"a large request beside others": {
			Evaluator{Memory: fixedBudget{200 * kib, 0}}, large,
			func(err error) bool { return errors.Is(err, ErrOverloaded) }, "berth has too many requests at a time",
		},
		"a namespace that nobody knows": {
			Evaluator{Namespaces: noNamespaces{errNoServer}}, elsewhere,
			func(err error) bool { return isA[*NamespaceError](err) && errors.Is(err, errNoServer) },
			`namespace "new" is not in the cache, and asking for it failed: there is no API server`,
		},
		"a large request alone":     {evaluator: Evaluator{Memory: roomy}, body: large},
		"an ordinary request alone": {evaluator: Evaluator{Memory: roomy}, body: createReview(tutorial)},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := test.evaluator.evaluate(t, all, test.body)
			if test.want == "" {
				if err != nil || a.Result != Patched {
					t.Errorf("answer %+v, error %v", a, err)
				}
				return
			}
			if err == nil || !test.is(err) || err.Error() != test.want {
				t.Errorf("got %T %v\nwant %s", err, err, test.want)
			}
		})
	}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestAnAnswerIsAppendedAndItsScratchUsedAgain(t *testing.T) {
	var review Review
	if err := review.Locate([]byte(createReview(tutorial))); err != nil {
		t.Fatal(err)
	}
	a, err := Evaluator{}.evaluate(t, ownLabels(t), createReview(tutorial))
	if err != nil {
		t.Fatal(err)
	}
	first, scratch := a.AppendJSON([]byte("answer: "), nil, &review)
	again, same := a.AppendJSON(nil, scratch, &review)
	if diff := cmp.Diff("answer: "+string(again), string(first)); diff != "" || &same[0] != &scratch[0] {
		t.Errorf("with scratch that is large enough (-want +got):\n%s", diff)
	}
}
