package webhook

import (
	"context"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"

	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// maxDecodedWhole bounds the bytes that all requests together have decoded whole: in memory they may be forty times as many.
const maxDecodedWhole = 2 << 20

var decodedWhole = newBudget(maxDecodedWhole)

// applicable returns the policies whose matchConditions are met. Only here are the objects decoded whole.
func (r *review) applicable(ctx context.Context, s scope) (placement.Policies, *failure) {
	if size := len(r.values[partRequest]); size > smallBody {
		if size > maxDecodedWhole {
			return placement.Policies{}, tooLarge("a request that matchConditions look at", maxDecodedWhole)
		}
		if !decodedWhole.take(int64(size)) {
			return placement.Policies{}, overloaded()
		}
		defer decodedWhole.give(int64(size))
	}
	vars, err := r.variables()
	if err != nil {
		return placement.Policies{}, badRequest(err)
	}
	vars.Namespace = cluster.NamespaceObject(s.namespace)
	return s.policies.Where(func(policy string) (bool, error) {
		return s.snapshot.Conditions(policy).Matches(ctx, vars)
	}), nil
}

// variables is what matchConditions see of the request.
func (r *review) variables() (conditions.Variables, *field.Error) {
	var vars conditions.Variables
	// The API server's own decoder: integers stay integers, as CEL has to see them.
	if err := json.UnmarshalCaseSensitivePreserveInts(r.values[partRequest], &vars.Request); err != nil {
		return vars, field.TypeInvalid(paths[partRequest], field.OmitValueType{}, err.Error())
	}
	vars.Object, _ = vars.Request["object"].(map[string]any)
	vars.OldObject, _ = vars.Request["oldObject"].(map[string]any)
	delete(vars.Request, "object")
	delete(vars.Request, "oldObject")
	return vars, nil
}
