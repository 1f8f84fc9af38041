package rollout_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"berth.dev/berth/coverage"
	"berth.dev/berth/rollout"
)

// scripted is a cluster that is read again and again: each reading is the next one, and the last stays.
type scripted struct {
	readings []reading
	at       int
	looks    int // how often nodes and pods were read
}

type reading struct {
	ds    *appsv1.DaemonSet
	nodes []coverage.Node
	err   error
}

func (s *scripted) now() reading { return s.readings[min(s.at, len(s.readings))-1] }

// DaemonSets implements rollout.Reader.
func (s *scripted) DaemonSets(context.Context) ([]appsv1.DaemonSet, error) {
	s.at++
	if r := s.now(); r.ds != nil {
		return []appsv1.DaemonSet{*r.ds}, r.err
	}
	return nil, s.now().err
}

// Live implements rollout.Reader.
func (s *scripted) Live(context.Context, []*appsv1.DaemonSet) ([][]coverage.Node, error) {
	s.looks++
	return [][]coverage.Node{s.now().nodes}, nil
}

var errFatal = errors.New("forbidden")

// run waits in a bubble of its own time.
func run(t *testing.T, s *scripted, timeout time.Duration) (all []rollout.Progress, told []string, took time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := rollout.Wait{
			Reader: s, Timeout: timeout, Every: time.Second, LookEvery: 15 * time.Second,
			Tell:  func(p rollout.Progress) { told = append(told, p.Reason) },
			Fatal: func(err error) bool { return errors.Is(err, errFatal) },
		}
		all, err = w.Run(t.Context())
		took = time.Since(began)
	})
	return all, told, took, err
}

func updating(updated int32) *appsv1.DaemonSet {
	return daemonSet(func(ds *appsv1.DaemonSet) { ds.Status.UpdatedNumberScheduled = updated })
}

func TestAWaitEndsWhenItIsComplete(t *testing.T) {
	s := &scripted{readings: []reading{
		{ds: updating(0), nodes: []coverage.Node{missing, missing}}, {ds: updating(1), nodes: []coverage.Node{running, missing}},
		{ds: updating(2), nodes: []coverage.Node{running, running}},
	}}
	all, told, took, err := run(t, s, time.Minute)
	if err != nil || all[0].Outcome != rollout.Complete || took != 2*time.Second || len(told) != 3 {
		t.Errorf("%+v after %s, told %q: %v", all, took, told, err)
	}
}

func TestAWaitThatIsOverSaysWhatItSeesThen(t *testing.T) {
	s := &scripted{readings: []reading{{ds: updating(1), nodes: []coverage.Node{running, missing}}}}
	all, told, took, err := run(t, s, time.Minute)
	if err != nil || all[0].Outcome != rollout.Waiting || all[0].Reason != "no available pod on 1 node" || len(all[0].Lacking) != 1 {
		t.Errorf("%+v: %v", all, err)
	}
	if took != time.Minute || s.looks > 6 || len(told) != 1 {
		t.Errorf("after %s, nodes and pods were read %d times, told %q", took, s.looks, told)
	}
}

func TestWithoutTimeAWaitLooksOnce(t *testing.T) {
	s := &scripted{readings: []reading{{ds: updating(1), nodes: []coverage.Node{missing}}}}
	if all, _, took, err := run(t, s, 0); err != nil || took != 0 || s.looks != 1 || all[0].Outcome != rollout.Waiting {
		t.Errorf("%+v after %s, %d looks: %v", all, took, s.looks, err)
	}
}

func TestAWaitOutlastsErrorsThatPassAndNoOthers(t *testing.T) {
	passes := errors.New("the API server restarts")
	begun, done := reading{ds: updating(1), nodes: []coverage.Node{missing}}, reading{ds: updating(2), nodes: []coverage.Node{running}}
	if all, _, _, err := run(t, &scripted{readings: []reading{begun, {err: passes}, done}}, time.Minute); err != nil || all[0].Outcome != rollout.Complete {
		t.Errorf("%+v: %v", all, err)
	}
	if _, _, took, err := run(t, &scripted{readings: []reading{begun, {err: errFatal}}}, time.Minute); !errors.Is(err, errFatal) || took > 2*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	if _, _, took, err := run(t, &scripted{readings: []reading{{err: passes}}}, time.Minute); !errors.Is(err, passes) || took != 0 {
		t.Errorf("the first reading, after %s: %v", took, err)
	}
	if _, _, _, err := run(t, &scripted{readings: []reading{begun, {err: passes}}}, time.Minute); !errors.Is(err, passes) {
		t.Errorf("until the end: %v", err)
	}
}

func TestADaemonSetThatIsDeletedMeanwhileHasFailed(t *testing.T) {
	all, _, _, err := run(t, &scripted{readings: []reading{{ds: updating(1), nodes: []coverage.Node{missing}}, {}}}, time.Minute)
	if err != nil || all[0].Outcome != rollout.Failed || all[0].Reason != "it has been deleted" {
		t.Errorf("%+v: %v", all, err)
	}
}
