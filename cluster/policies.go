package cluster

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// Validate returns all that is wrong with a policy, its matchConditions too. In
// the scope of a policy with errors its failurePolicy says what happens.
func Validate(policy *v1alpha1.PlacementPolicy) field.ErrorList {
	_, errs := Compile(policy)
	return errs
}

// Compile returns the matchConditions of a policy, and all that is wrong with the
// policy, as Validate does.
func Compile(policy *v1alpha1.PlacementPolicy) (*conditions.Program, field.ErrorList) {
	_, failed := placement.Compile([]v1alpha1.PlacementPolicy{*policy})
	program, errs := conditions.Compile(policy.Spec.MatchConditions)
	return program, append(failed[policy.Name], errs...)
}

// NamespaceObject is what matchConditions see of a namespace as namespaceObject:
// its name, labels and annotations, in the shape of a Namespace.
func NamespaceObject(namespace placement.Namespace) map[string]any {
	metadata := map[string]any{"name": namespace.Name}
	if len(namespace.Labels) > 0 {
		metadata["labels"] = object(namespace.Labels)
	}
	if len(namespace.Annotations) > 0 {
		metadata["annotations"] = object(namespace.Annotations)
	}
	return map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
}

func object(from map[string]string) map[string]any {
	decoded := make(map[string]any, len(from))
	for key, value := range from {
		decoded[key] = value
	}
	return decoded
}
