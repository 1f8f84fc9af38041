package reliability_test

import (
	"bufio"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/e2e/testbed"
)

// level is a metric of the Go runtime that must not grow for good, with what it may vary by.
type level struct {
	metric string
	slack  float64
}

var levels = []level{
	{"go_goroutines", 20},
	{"go_memstats_heap_alloc_bytes", 4 << 20}, // just after a collection, the lowest of a period, is what is alive
}

func TestGoroutinesAndHeapStayAtTheirLevel(t *testing.T) {
	cluster(t)
	namespace := enabledNamespace(t)
	before := containers()
	length := full(100*time.Second, time.Hour)
	load := startLoadAt(t, namespace, gentle)
	time.Sleep(length / 10) // until everything has been used once
	early := lowest(t, length*3/10)
	time.Sleep(length * 3 / 10)
	late := lowest(t, length*3/10)
	counts := load.stop(t)
	counts.expectNothingLost(t)
	for _, name := range slices.Sorted(maps.Keys(late)) {
		for _, level := range levels {
			from, to := early[name][level.metric], late[name][level.metric]
			t.Logf("%s: %s from %.0f to %.0f", name, level.metric, from, to)
			if from == 0 || to > from+level.slack {
				t.Errorf("%s: %s went from %.0f to %.0f", name, level.metric, from, to)
			}
		}
	}
	expectSameContainers(t, before)
}

// lowest is the least that each level of each replica was at within a period.
func lowest(t *testing.T, period time.Duration) map[string]map[string]float64 {
	t.Helper()
	lowest := map[string]map[string]float64{}
	for end := time.Now().Add(period); time.Now().Before(end); time.Sleep(time.Second) {
		for _, pod := range host.Pods() {
			now := metrics(t, pod)
			if lowest[pod.Name] == nil {
				lowest[pod.Name] = now
			}
			for name, value := range now {
				lowest[pod.Name][name] = min(lowest[pod.Name][name], value)
			}
		}
	}
	return lowest
}

// metrics are the values of the levels at a replica.
func metrics(t *testing.T, pod *testbed.Pod) map[string]float64 {
	t.Helper()
	response, err := http.Get("http://" + pod.Address("metrics") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	values := map[string]float64{}
	for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
		name, value, _ := strings.Cut(scanner.Text(), " ")
		if !slices.ContainsFunc(levels, func(l level) bool { return l.metric == name }) {
			continue
		}
		if values[name], err = strconv.ParseFloat(value, 64); err != nil {
			t.Fatal(err)
		}
	}
	return values
}
