package live

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// compile compiles all policies, as the API server has them now and whatever they
// were before: every replica decides alike, restarted or not.
func (f *Facts) compile(ctx context.Context) (placement.Policies, map[string]*conditions.Program, error) {
	var list v1alpha1.PlacementPolicyList
	if err := f.cache.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return placement.Policies{}, nil, fmt.Errorf("list policies from the cache: %w", err)
	}
	policies, programs := f.compileAll(list.Items)
	return policies, programs, nil
}

func (f *Facts) compileAll(list []v1alpha1.PlacementPolicy) (placement.Policies, map[string]*conditions.Program) {
	policies, failed := placement.Compile(list)
	conditionErrs := map[string]field.ErrorList{}
	programs := map[string]*conditions.Program{}
	next := make(map[string]compiledConditions, len(list))
	for i := range list {
		policy := &list[i]
		compiled, isKnown := f.conditions[policy.Name]
		if !isKnown || compiled.uid != policy.UID || compiled.generation != policy.Generation {
			compiled = compileConditions(policy)
			if errs := slices.Concat(failed[policy.Name], compiled.errs); len(errs) > 0 {
				f.log.Error(errs.ToAggregate(), "Policy is invalid: edit it. Until then its failurePolicy says what happens in its scope",
					"policy", policy.Name, "generation", policy.Generation)
			}
		}
		next[policy.Name] = compiled
		switch {
		case len(compiled.errs) > 0:
			conditionErrs[policy.Name] = compiled.errs
		case !compiled.program.Empty():
			programs[policy.Name] = compiled.program
		}
	}
	f.conditions = next
	return policies.WithErrors(conditionErrs), programs
}

// compiledConditions is the matchConditions of one version of a policy. It is
// kept because compiling them takes a millisecond or so.
type compiledConditions struct {
	uid        types.UID
	generation int64
	program    *conditions.Program
	errs       field.ErrorList
}

func compileConditions(policy *v1alpha1.PlacementPolicy) compiledConditions {
	compiled := compiledConditions{uid: policy.UID, generation: policy.Generation}
	compiled.program, compiled.errs = conditions.Compile(policy.Spec.MatchConditions)
	return compiled
}
