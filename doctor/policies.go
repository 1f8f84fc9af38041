package doctor

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"berth.dev/berth/api/v1alpha1"
)

const policiesDocs = "docs/status.md"

// policies looks at which are not in force, contradict each other, or apply to nothing.
func policies(ctx context.Context, c *Cluster) []Finding {
	read, err := c.dynamic.Resource(v1alpha1.GroupVersion.WithResource("placementpolicies")).List(ctx, metav1.ListOptions{})
	if err != nil {
		return []Finding{unread("PlacementPolicies", err)}
	}
	var found []Finding
	inForce := 0
	for i := range read.Items {
		var policy v1alpha1.PlacementPolicy
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(read.Items[i].Object, &policy); err != nil {
			return append(found, unread("PlacementPolicy "+read.Items[i].GetName(), err))
		}
		said := aboutPolicy(&policy)
		if !slices.ContainsFunc(said, func(f Finding) bool { return f.Outcome == Bad }) {
			inForce++
		}
		found = append(found, said...)
	}
	if inForce > 0 || len(found) == 0 {
		found = append([]Finding{good("%d of %d policies are in force, and nothing contradicts them", inForce, len(read.Items))}, found...)
	}
	return found
}

func aboutPolicy(policy *v1alpha1.PlacementPolicy) []Finding {
	conditions := policy.Status.Conditions
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	var found []Finding
	switch {
	case ready == nil || policy.Status.ObservedGeneration != policy.Generation:
		found = append(found, bad(policiesDocs, "see whether berth runs: --only replicas", "policy %s: berth has not looked at it yet", policy.Name))
	case ready.Status != metav1.ConditionTrue:
		found = append(found, bad(policiesDocs, "mend the policy", "policy %s is not in force: %s", policy.Name, ready.Message))
	}
	if conflict := meta.FindStatusCondition(conditions, v1alpha1.ConditionConflicting); conflict != nil && conflict.Status == metav1.ConditionTrue {
		found = append(found, bad(policiesDocs, "change one of the two", "policy %s: %s", policy.Name, conflict.Message))
	}
	if counts := policy.Status.DaemonSets; counts != nil && counts.Matched == 0 && len(found) == 0 {
		found = append(found, note("policy %s applies to no DaemonSet", policy.Name))
	}
	return found
}
