package audit

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
)

// twoNodes are one that a DaemonSet with pool=blue keeps, and one that it loses.
var twoNodes = []cluster.NodeChange{{Name: "n-1", Labels: map[string]string{"pool": "blue"}}, {Name: "n-2"}}

func TestWhereARestartWouldBeDeniedNothingChangesAndTheEventSaysWhatToDo(t *testing.T) {
	blue := literalPolicy("blue", map[string]v1alpha1.NodeLabelValue{"pool": "blue"})
	guard := literalPolicy("guard", nil)
	guard.Spec.NodeChecks = &v1alpha1.NodeChecks{ValidationActions: []v1alpha1.ValidationAction{v1alpha1.Deny}}
	trial := *guard.DeepCopy()
	trial.Spec.Mode = v1alpha1.ModeAudit
	guarded := *blue.DeepCopy()
	guarded.Spec.NodeChecks = guard.Spec.NodeChecks
	for name, test := range map[string]struct {
		policies    []v1alpha1.PlacementPolicy
		wouldChange int32
		advice      string
	}{
		"nothing denies it":                           {[]v1alpha1.PlacementPolicy{blue}, 1, "to have it now: kubectl rollout restart daemonset -n demo agent"},
		"its own nodeChecks deny it":                  {[]v1alpha1.PlacementPolicy{guarded}, 0, "--overwrite berth.dev/acknowledge="},
		"the nodeChecks of another deny it":           {[]v1alpha1.PlacementPolicy{blue, guard}, 0, "--overwrite berth.dev/acknowledge="},
		"one in mode Audit would deny it and may not": {[]v1alpha1.PlacementPolicy{blue, trial}, 1, "kubectl rollout restart"},
	} {
		var s state
		s.update(t.Context(), snapshotOf(t, twoNodes, test.policies...), byKey(agent("demo", "agent")))
		if got := s.report().policies["blue"].daemonSets.WouldChange; got != test.wouldChange {
			t.Errorf("%s: %d would change, want %d", name, got, test.wouldChange)
		}
		problem := s.entries[types.NamespacedName{Namespace: "demo", Name: "agent"}].problem
		if problem == nil || !strings.Contains(problem.note, test.advice) {
			t.Errorf("%s: the Event says %+v, want %q in it", name, problem, test.advice)
			continue
		}
		if test.wouldChange == 0 && strings.Contains(problem.note, "rollout restart") {
			t.Errorf("%s: the Event advises what is denied: %s", name, problem.note)
		}
	}
}
