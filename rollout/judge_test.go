package rollout_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/coverage"
	"berth.dev/berth/rollout"
)

// daemonSet is one of which the controller has seen everything.
func daemonSet(edit ...func(*appsv1.DaemonSet)) *appsv1.DaemonSet {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "agent", Generation: 2}}
	ds.Status = appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2, NumberAvailable: 2}
	for _, e := range edit {
		e(ds)
	}
	return ds
}

var (
	running  = coverage.Node{Name: "running", State: coverage.Running, Pod: "p"}
	outdated = coverage.Node{Name: "outdated", State: coverage.Running, Pod: "p", Outdated: true, Reason: "old"}
	missing  = coverage.Node{Name: "missing", State: coverage.Missing, Reason: "no pod yet"}
	excluded = coverage.Node{Name: "excluded", State: coverage.Excluded, Reason: "no label", Why: &coverage.Why{}}
	leaving  = coverage.Node{Name: "leaving", State: coverage.Leaving, Reason: "no label", Why: &coverage.Why{}}
	lingers  = coverage.Node{Name: "lingers", State: coverage.RunsUntilReplaced, Reason: "taint", Why: &coverage.Why{}}
)

func TestADaemonSetIsCompleteWhenItRunsOnExactlyTheNodesThatItShould(t *testing.T) {
	onDelete := func(ds *appsv1.DaemonSet) { ds.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType }
	half, three := "50%", "3"
	tests := map[string]struct {
		ds       *appsv1.DaemonSet
		nodes    []coverage.Node
		min      string
		zero     bool
		want     rollout.Outcome
		wantWhy  string
		lacksOne string // the first of the nodes that it lacks
	}{
		"everywhere it should":       {ds: daemonSet(), nodes: []coverage.Node{running, excluded, lingers}, want: rollout.Complete},
		"not on one":                 {ds: daemonSet(), nodes: []coverage.Node{running, missing}, want: rollout.Waiting, wantWhy: "no available pod on 1 node", lacksOne: "missing"},
		"of an earlier template":     {ds: daemonSet(), nodes: []coverage.Node{running, outdated}, want: rollout.Waiting, wantWhy: "a pod of an earlier template on 1 node", lacksOne: "outdated"},
		"on one too many":            {ds: daemonSet(), nodes: []coverage.Node{running, leaving}, want: rollout.Waiting, wantWhy: "a pod too many on 1 node", lacksOne: "leaving"},
		"all of it":                  {ds: daemonSet(), nodes: []coverage.Node{missing, outdated, leaving}, want: rollout.Waiting, wantWhy: "no available pod on 1 node, a pod of an earlier template on 1 node, a pod too many on 1 node", lacksOne: "outdated"},
		"OnDelete":                   {ds: daemonSet(onDelete), nodes: []coverage.Node{running, outdated}, want: rollout.Failed, wantWhy: "a pod of an earlier template on 1 node: updateStrategy OnDelete replaces a pod only when somebody deletes it", lacksOne: "outdated"},
		"OnDelete, and one that may": {ds: daemonSet(onDelete), nodes: []coverage.Node{missing, outdated}, want: rollout.Waiting, wantWhy: "no available pod on 1 node, a pod of an earlier template on 1 node", lacksOne: "outdated"},
		"none":                       {ds: daemonSet(), nodes: []coverage.Node{excluded}, want: rollout.Failed, wantWhy: "it should run on none of 1 nodes", lacksOne: "excluded"},
		"none, and that is allowed":  {ds: daemonSet(), nodes: []coverage.Node{excluded}, zero: true, want: rollout.Complete},
		"half of them":               {ds: daemonSet(), nodes: []coverage.Node{running, excluded}, min: half, want: rollout.Complete},
		"less than half":             {ds: daemonSet(), nodes: []coverage.Node{running, excluded, excluded}, min: half, want: rollout.Failed, wantWhy: "it should run on 1 of 3 nodes, and at least 2 are demanded", lacksOne: "excluded"},
		"less than three":            {ds: daemonSet(), nodes: []coverage.Node{running, running, excluded}, min: three, want: rollout.Failed, wantWhy: "it should run on 2 of 3 nodes, and at least 3 are demanded", lacksOne: "excluded"},
		"none, allowed but demanded": {ds: daemonSet(), nodes: []coverage.Node{excluded}, min: "1", zero: true, want: rollout.Failed, wantWhy: "it should run on 0 of 1 nodes, and at least 1 are demanded", lacksOne: "excluded"},
		"not seen":                   {ds: daemonSet(func(ds *appsv1.DaemonSet) { ds.Generation = 3 }), nodes: []coverage.Node{excluded}, want: rollout.Waiting, wantWhy: "the DaemonSet controller has seen generation 2, and not yet 3"},
		"deleted":                    {ds: daemonSet(func(ds *appsv1.DaemonSet) { ds.DeletionTimestamp = &metav1.Time{} }), nodes: []coverage.Node{running}, want: rollout.Failed, wantWhy: "it is being deleted"},
		"not counted":                {ds: daemonSet(func(ds *appsv1.DaemonSet) { ds.Status.UpdatedNumberScheduled = 1 }), nodes: []coverage.Node{running}, want: rollout.Waiting, wantWhy: "the DaemonSet controller counts pods of the current template on 1 of 2 nodes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			demands := rollout.Demands{AllowZero: test.zero}
			if test.min != "" {
				var err error
				if demands.MinNodes, err = rollout.ParseMinNodes(test.min); err != nil {
					t.Fatal(err)
				}
			}
			got := demands.Judge(test.ds, test.nodes)
			lacks := ""
			if len(got.Lacking) > 0 {
				lacks = got.Lacking[0].Nodes[0].Node
			}
			if diff := cmp.Diff([]string{string(test.want), test.wantWhy, test.lacksOne}, []string{string(got.Outcome), got.Reason, lacks}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestMinNodesIsANumberOrAShare(t *testing.T) {
	for text, good := range map[string]bool{"3": true, "0": true, "50%": true, "100%": true, "101%": false, "-1": false, "many": false, "%": false} {
		if _, err := rollout.ParseMinNodes(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
