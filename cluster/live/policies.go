package live

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// compile compiles all policies. Of one with errors the last good version stays
// in force: a slip in an edit must not open the gate.
func (f *Facts) compile(ctx context.Context) (placement.Policies, map[string]*conditions.Program, error) {
	var list v1alpha1.PlacementPolicyList
	if err := f.cache.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return placement.Policies{}, nil, fmt.Errorf("list policies from the cache: %w", err)
	}
	policies, programs := f.compileAll(list.Items)
	return policies, programs, nil
}

func (f *Facts) compileAll(list []v1alpha1.PlacementPolicy) (placement.Policies, map[string]*conditions.Program) {
	inForce := make([]v1alpha1.PlacementPolicy, 0, len(list))
	var unreadable []string
	programs := map[string]*conditions.Program{}
	versions := make(map[string]policyVersion, len(list))
	for i := range list {
		version := f.versionOf(&list[i])
		versions[list[i].Name] = version
		if version.good == nil {
			unreadable = append(unreadable, list[i].Name)
			continue
		}
		inForce = append(inForce, *version.good)
		if !version.program.Empty() {
			programs[list[i].Name] = version.program
		}
	}
	f.versions = versions
	policies, _ := placement.Compile(inForce)
	return policies.Unreadable(unreadable...), programs
}

// policyVersion is the newest version of a policy that has been looked at, and
// what of it is in force.
type policyVersion struct {
	uid        types.UID
	generation int64
	// good is the last version without errors, nil when there was none, and
	// program its matchConditions.
	good    *v1alpha1.PlacementPolicy
	program *conditions.Program
}

// versionOf compiles the matchConditions, which takes a millisecond or so, of a
// policy that has changed.
func (f *Facts) versionOf(policy *v1alpha1.PlacementPolicy) policyVersion {
	last, seen := f.versions[policy.Name]
	switch {
	case !seen || last.uid != policy.UID:
		// One that was deleted and made anew has no former version.
		last = policyVersion{uid: policy.UID}
	case last.generation == policy.Generation:
		return last
	}
	last.generation = policy.Generation
	program, errs := cluster.Compile(policy)
	if len(errs) > 0 {
		f.log.Error(errs.ToAggregate(), "Policy is invalid: edit it", "policy", policy.Name,
			"generation", policy.Generation, "lastGoodStaysInForce", last.good != nil)
		return last
	}
	good := *policy // Not a pointer into the list, which would stay for this one policy's sake.
	last.good, last.program = &good, program
	return last
}
