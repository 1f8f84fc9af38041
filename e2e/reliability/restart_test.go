package reliability_test

import (
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

func TestRollingRestartsLoseNoWrite(t *testing.T) {
	cluster(t)
	for _, way := range routing {
		t.Run(way.name, func(t *testing.T) {
			routeBy(t, way.flags)
			load := startLoad(t, enabledNamespace(t))
			for range full(3, 40) {
				kubectl(t, "-n", "berth-system", "rollout", "restart", "deployment/berth")
				awaitRollout(t)
			}
			// The last of the old ones are still ending.
			eventually(t, "the end of the old pods", func() (bool, string) { return settled(), podNames() })
			time.Sleep(time.Second)
			counts := load.stop(t)
			counts.expectNothingLost(t)
		})
	}
}
