package e2e_test

import (
	"testing"

	"berth.dev/berth/e2e/testbed"
)

func TestDaemonSetsArePlacedAgainAfterTheAPIServerAndEtcdWereKilled(t *testing.T) {
	namespace := newNamespace(t, enabled)
	labelNodes(t, "app", "restart", "n-2")
	kubectl(t, forLabel(t, "restart"), "create", "-n", namespace, "-f", "-")
	expectPods(t, namespace, tutorialName, "n-2")

	for _, p := range []*testbed.Process{cp.APIServer, cp.Etcd} {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []*testbed.Process{cp.Etcd, cp.APIServer} {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	labelNodes(t, "app", "restart", "n-3")
	expectPods(t, namespace, tutorialName, "n-2", "n-3")
	again := newNamespace(t, enabled)
	kubectl(t, forLabel(t, "restart"), "create", "-n", again, "-f", "-")
	expectPods(t, again, tutorialName, "n-2", "n-3")
}
