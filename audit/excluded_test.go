package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/labels"

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
				if test.excluded.has(ds, namespace) {
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
