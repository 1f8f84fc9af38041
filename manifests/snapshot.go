package manifests

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// RuleInvalidPolicy is a policy that does not compile, or that the API server would refuse.
const RuleInvalidPolicy Rule = "invalid-policy"

// Snapshot returns the policies, namespaces and nodes as the facts of a cluster. Without nodes among them, nobody knows of any.
// What is wrong with the policies is added to the problems.
func (s *Set) Snapshot(ctx context.Context) *cluster.Snapshot {
	var namespaces []placement.Namespace
	for i := range s.Namespaces {
		namespaces = append(namespaces, NewNamespace(s.Namespaces[i].Name, s.Namespaces[i].Labels, s.Namespaces[i].Annotations))
	}
	snapshot := cluster.NewSnapshot(placement.Policies{}, namespaces, s.nodeIndex())
	return snapshot.WithPolicies(s.compile(ctx))
}

// NewNamespace is a namespace with the label that every one has.
func NewNamespace(name string, labels, annotations map[string]string) placement.Namespace {
	all := map[string]string{corev1.LabelMetadataName: name}
	maps.Copy(all, labels)
	return placement.Namespace{Name: name, Labels: all, Annotations: annotations}
}

func (s *Set) nodeIndex() *cluster.NodeIndex {
	if len(s.Nodes) == 0 {
		return nil
	}
	var changes []cluster.NodeChange
	for _, node := range s.Nodes {
		changes = append(changes, cluster.NodeChange{Name: node.Name, Labels: node.Labels, Taints: cluster.BlockingTaints(node.Spec.Taints)})
	}
	return new(cluster.NodeIndex).Apply(changes)
}

func (s *Set) compile(ctx context.Context) (placement.Policies, map[string]*conditions.Program) {
	var list []v1alpha1.PlacementPolicy
	programs := map[string]*conditions.Program{}
	invalid := map[string]field.ErrorList{}
	for _, policy := range s.Policies {
		list = append(list, policy.Object)
		program, errs := cluster.Compile(&policy.Object)
		if len(errs) == 0 {
			errs = policy.refused(ctx)
		}
		for _, err := range errs {
			s.problem(policy.from(), err.Field, RuleInvalidPolicy, err.Error())
		}
		if len(errs) > 0 {
			invalid[policy.Object.Name] = errs
		} else if !program.Empty() {
			programs[policy.Object.Name] = program
		}
	}
	policies, _ := placement.Compile(list)
	return policies.WithErrors(invalid), programs
}

// from is the object of the policy, also where a cluster has it.
func (p *Policy) from() *object {
	if p.object != nil {
		return p.object
	}
	return &object{TypeMeta: metav1.TypeMeta{Kind: "PlacementPolicy"}, name: p.Object.Name}
}

// refused is what the API server would refuse in the policy; nothing where that has it already.
func (p *Policy) refused(ctx context.Context) field.ErrorList {
	if p.object == nil || p.object.stored {
		return nil
	}
	schema, err := compiledSchema()
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	return append(validateMetadata(field.NewPath("metadata"), &p.Object.ObjectMeta), schema.validate(ctx, p.object.raw)...)
}
