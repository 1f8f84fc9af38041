package reliability_test

import (
	"slices"
	"testing"
	"time"
)

// routing is how the API server may find berth: by the Service's ClusterIP, or by its endpoints, as some providers have it.
var routing = []struct {
	name  string
	flags []string
}{
	{"by ClusterIP", nil},
	{"by endpoints", []string{"--enable-aggregator-routing=true"}},
}

func TestReplicasComeAndGo(t *testing.T) {
	for _, way := range routing {
		t.Run(way.name, func(t *testing.T) {
			cluster(t)
			routeBy(t, way.flags)
			t.Run("rolling restarts lose no write", testRollingRestarts)
			t.Run("kill -9 of one fails writes only until its endpoint is gone", testKillOne)
		})
	}
}

func testRollingRestarts(t *testing.T) {
	load := startLoad(t, enabledNamespace(t))
	for range full(3, 40) {
		kubectl(t, "-n", "berth-system", "rollout", "restart", "deployment/berth")
		awaitRollout(t)
	}
	// The last of the old ones are still ending.
	eventually(t, "the end of the old pods", func() (bool, string) { return settled(), podNames() })
	counts := load.stop(t)
	counts.expectNothingLost(t)
}

func testKillOne(t *testing.T) {
	namespace := enabledNamespace(t)
	for range full(2, 20) {
		load := startLoad(t, namespace)
		eventually(t, "writes", func() (bool, string) { return load.written() > 50, "" })
		victim := host.Pods()[0]
		if err := victim.Kill(); err != nil {
			t.Fatal(err)
		}
		address := victim.Address("webhook")
		eventually(t, "the end of its endpoint", func() (bool, string) { return !slices.Contains(endpoints(), address), address })
		during := load.stop(t)
		during.expectNothingUnmutated(t)

		load = startLoad(t, namespace)
		eventually(t, "its return", func() (bool, string) { return slices.Contains(endpoints(), address), address })
		time.Sleep(time.Second) // for writes that it answers
		after := load.stop(t)
		after.expectNothingLost(t)
	}
}
