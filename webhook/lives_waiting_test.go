package webhook

import (
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"berth.dev/berth/api/v1alpha1"
)

// checkWaiting is the law: while the author changes nothing, no policy that acts always writes against the labels of one
// that waits for a change. Looked at are policies of which it is plain that they apply.
func (l *life) checkWaiting(was, is, meant, means *appsv1.DaemonSet) error {
	if l.shared || l.vague || cmp.Diff(meant.Spec.Template, means.Spec.Template) != "" {
		return nil
	}
	for name, p := range l.policies {
		if !plainlyWaits(&p.Spec) {
			continue
		}
		for key, value := range p.Spec.NodeSelector {
			had, before := was.Spec.Template.Spec.NodeSelector[key]
			has, after := is.Spec.Template.Spec.NodeSelector[key]
			own, ofAuthor := means.Spec.Template.Spec.NodeSelector[key]
			if after && has != string(value) && (!before || had != has) && (!ofAuthor || own != has) {
				return fmt.Errorf("policy %s waits and requires %s=%s, and now there is %s", name, key, value, has)
			}
			if before || len(expressionsOf(was, key)) > 0 {
				continue
			}
			if exclude := func(e corev1.NodeSelectorRequirement) bool { return excludes(e, string(value)) }; slices.ContainsFunc(expressionsOf(is, key), exclude) {
				return fmt.Errorf("policy %s waits and requires %s=%s, and now there is %v", name, key, value, expressionsOf(is, key))
			}
		}
	}
	return nil
}

// expressionsOf returns those of required node affinity that are about the key.
func expressionsOf(ds *appsv1.DaemonSet, key string) []corev1.NodeSelectorRequirement {
	affinity := ds.Spec.Template.Spec.Affinity
	if affinity == nil || affinity.NodeAffinity == nil || affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	var about []corev1.NodeSelectorRequirement
	for _, term := range affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == key {
				about = append(about, e)
			}
		}
	}
	return about
}

// plainlyWaits says that a policy waits for a change of the template, and that nothing keeps it from acting then.
func plainlyWaits(s *v1alpha1.PlacementPolicySpec) bool {
	return s.Mode == v1alpha1.ModeEnforce && s.UpdatePolicy == v1alpha1.UpdateOnTemplateChange &&
		len(s.MatchConditions)+len(s.NodeSelectorFrom) == 0 && s.MatchConstraints.ObjectSelector == nil
}

// excludes says whether an expression matches no node whose label has the value.
func excludes(e corev1.NodeSelectorRequirement, value string) bool {
	switch e.Operator {
	case corev1.NodeSelectorOpIn:
		return !slices.Contains(e.Values, value)
	case corev1.NodeSelectorOpNotIn:
		return slices.Contains(e.Values, value)
	default:
		return e.Operator == corev1.NodeSelectorOpDoesNotExist
	}
}
