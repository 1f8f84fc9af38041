package placement_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"berth.dev/berth/placement"
)

// life is a DaemonSet through writes of its users and changes of the policies.
type life struct {
	policies placement.Policies
	// own is the template as its author means it, stored as it is in the cluster.
	own, stored *appsv1.DaemonSet
	// past is the revisions that rollout undo can bring back.
	past []revision
}

type revision struct{ own, stored *appsv1.DaemonSet }

// write admits an update; a denied one changes nothing.
func (l *life) write(t *testing.T, own, updated *appsv1.DaemonSet) {
	t.Helper()
	decision := decide(l.policies, write{DaemonSet: updated, Old: l.stored})
	if decision.Denied() != nil {
		return
	}
	l.past = append(l.past, revision{l.own, l.stored})
	l.own, l.stored = own, admit(t, l.policies, write{DaemonSet: updated, Old: l.stored})
}

func FuzzALifeOfWritesNeverWidensWhatTheAuthorMeant(f *testing.F) {
	addSeeds(f, 48, 256)
	nodes := universe()
	f.Fuzz(func(t *testing.T, bytes []byte) {
		c := &choices{bytes}
		own := c.daemonSet()
		own.Annotations = nil
		l := &life{own: own, stored: own}
		for range 8 {
			switch c.pick(4) {
			case 0: // a cluster admin edits the policies
				l.policies = compile(t, c.policies()...)
				l.write(t, l.own, l.stored.DeepCopy())
			case 1: // kubectl set image
				l.write(t, l.own, l.stored.DeepCopy())
			case 2: // an operator's PUT of what it means
				l.write(t, l.own, l.own.DeepCopy())
			case 3: // kubectl rollout undo
				if n := len(l.past); n > 0 {
					to := l.past[c.pick(n)]
					undone := l.stored.DeepCopy()
					undone.Spec.Template = *to.stored.Spec.Template.DeepCopy()
					l.write(t, to.own, undone)
				}
			}
			for _, n := range nodes {
				one := placement.NodeList{n}
				if one.Survey(nil, templateOf(l.stored)).Eligible > one.Survey(nil, templateOf(l.own)).Eligible {
					t.Fatalf("node %v is eligible, and its author never meant it: %+v", n.Labels, l.stored.Spec.Template.Spec)
				}
			}
			if record := l.stored.Annotations[placement.InjectedAnnotation]; len(record) > 4096 {
				t.Fatalf("the record grows: %s", record)
			}
		}
	})
}
