package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/placement"
)

func TestTheAuditLooksAtWhatTheWebhookConfigurationsSendToBerth(t *testing.T) {
	selector, err := labels.Parse("berth=yes")
	if err != nil {
		t.Fatal(err)
	}
	ordinary := Excluded{Namespaces: []string{"kube-system", "berth-system"}, PriorityClasses: []string{"critical"}, OwnNamespace: "berth-system"}
	selected := ordinary
	selected.NamespaceSelector = selector
	system := selected
	system.SystemTier = true
	for name, test := range map[string]struct {
		excluded Excluded
		audited  []string
	}{
		"the ordinary tier":          {ordinary, []string{"other", "team"}},
		"a namespaceSelector":        {selected, []string{"team"}},
		"the system tier beside one": {system, []string{"kube-system", "kube-system critical", "other critical", "team", "team critical"}},
	} {
		var audited []string
		for _, namespace := range []placement.Namespace{
			{Name: "berth-system", Labels: map[string]string{"berth": "yes"}}, {Name: "kube-system"}, {Name: "other"},
			{Name: "team", Labels: map[string]string{"berth": "yes"}},
		} {
			for _, class := range []string{"", "critical"} {
				ds := &appsv1.DaemonSet{}
				ds.Namespace, ds.Spec.Template.Spec.PriorityClassName = namespace.Name, class
				if test.excluded.Has(ds, namespace) {
					continue
				}
				what := namespace.Name
				if class != "" {
					what += " " + class
				}
				audited = append(audited, what)
			}
		}
		if diff := cmp.Diff(test.audited, audited); diff != "" {
			t.Errorf("%s: audited (-want +got):\n%s", name, diff)
		}
	}
}

func TestAPolicyThatSelectsExcludedNamespacesOnlySaysThatItActsOnNothing(t *testing.T) {
	selecting := func(values ...string) v1alpha1.PlacementPolicy {
		policy := literalPolicy("p", map[string]v1alpha1.NodeLabelValue{"pool": "blue"})
		policy.Generation = 1
		policy.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: values},
		}}
		return policy
	}
	const force = "berth enforces this policy"
	for name, test := range map[string]struct {
		namespaces []string
		systemTier bool
		want       string
	}{
		"an excluded namespace":                      {[]string{"kube-system"}, false, force + ", but it acts on no DaemonSet: berth's webhook configurations exclude the one namespace that it selects, kube-system"},
		"two":                                        {[]string{"kube-system", "berth-system"}, false, force + ", but it acts on no DaemonSet: berth's webhook configurations exclude the 2 namespaces that it selects, the first is berth-system"},
		"one of two is excluded":                     {[]string{"kube-system", "team"}, false, force},
		"no namespace that is there":                 {[]string{"later"}, false, force},
		"the system tier has it":                     {[]string{"kube-system"}, true, force},
		"berth's own, which the system tier has not": {[]string{"berth-system"}, true, force + ", but it acts on no DaemonSet: berth's webhook configurations exclude the one namespace that it selects, berth-system"},
	} {
		t.Run(name, func(t *testing.T) {
			policy := selecting(test.namespaces...)
			compiled, _ := placement.Compile([]v1alpha1.PlacementPolicy{policy})
			var namespaces []placement.Namespace
			for _, name := range []string{"berth-system", "kube-system", "team"} {
				namespaces = append(namespaces, placement.Namespace{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}})
			}
			s := state{excluded: Excluded{Namespaces: []string{"kube-system"}, OwnNamespace: "berth-system", SystemTier: test.systemTier}}
			s.update(t.Context(), cluster.NewSnapshot(compiled, namespaces, &cluster.NodeIndex{}), nil)
			found := s.report().policies["p"]
			setReady(&policy, &found)
			// Until the next leader has audited, what is said stays.
			if got := policy.Status.Conditions[0].Message; got != test.want || setReady(&policy, nil) {
				t.Errorf("got %q\nwant %q\nthen %q", got, test.want, policy.Status.Conditions[0].Message)
			}
		})
	}
}
