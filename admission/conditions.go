package admission

import (
	"context"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"

	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// Budget is bytes that all requests share.
type Budget interface {
	// Size is how many there are in all.
	Size() int64
	// Take tells whether so many are left, and if so, they are the caller's until it gives them back.
	Take(bytes int64) bool
	// Give gives bytes back.
	Give(bytes int64)
}

// smallRequest is the size up to which a request does not count against the budget: an ordinary one, of 5 to 50 KiB, is
// decoded whole whatever else comes in.
const smallRequest = 64 << 10

// applicable returns the policies whose matchConditions are met. Only here are the objects decoded whole.
func (e *Evaluator) applicable(ctx context.Context, r *Review, s scope) (placement.Policies, error) {
	if size := int64(len(r.values[partRequest])); size > smallRequest {
		if limit := e.Memory.Size(); size > limit {
			return placement.Policies{}, &TooLargeError{What: "a request that matchConditions look at", Limit: limit}
		}
		if !e.Memory.Take(size) {
			return placement.Policies{}, ErrOverloaded
		}
		defer e.Memory.Give(size)
	}
	vars, err := r.variables()
	if err != nil {
		return placement.Policies{}, err
	}
	vars.Namespace = cluster.NamespaceObject(s.namespace)
	return s.policies.Where(func(policy string) (bool, error) {
		return s.snapshot.Conditions(policy).Matches(ctx, vars)
	}), nil
}

// variables is what matchConditions see of the request.
func (r *Review) variables() (conditions.Variables, *field.Error) {
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
