package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	metricInQuery = regexp.MustCompile(`\b(berth_[a-z_]+?)(_bucket)?(?:\{([^}]*)\}|[^a-z_{])`)
	equalsInQuery = regexp.MustCompile(`([a-z_]+)=\\?"([^"\\]*)\\?"`)
)

func TestEveryMetricThatAnAlertOrAPanelReadsIsServed(t *testing.T) {
	namespace := newNamespace(t, nil)
	applyPolicy(t, namespace, "pool", anyNodes+poolA)
	create(t, namespace, agent(""))
	for _, file := range []string{"alerts.yaml", "dashboard.json"} {
		content, err := os.ReadFile("../deploy/chart/monitoring/" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := metricInQuery.FindAllStringSubmatch(string(content), -1)
		if len(found) < 5 {
			t.Fatalf("%s reads %d metrics", file, len(found))
		}
		for _, query := range found {
			want := []string{query[1] + query[2]}
			for _, label := range equalsInQuery.FindAllStringSubmatch(query[3], -1) {
				want = append(want, fmt.Sprintf("%s=%q", label[1], label[2]))
			}
			waitForSeries(t, want)
		}
	}
}

// waitForSeries waits until berth serves a series of a metric with some labels: the audit takes a second.
func waitForSeries(t *testing.T, want []string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+berth.MetricsAddress+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		served, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(served)) {
			name, labels, _ := strings.Cut(line, "{")
			name, _, _ = strings.Cut(name, " ")
			if name == want[0] && containsAll(labels, want[1:]) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Errorf("berth serves no series of %s", strings.Join(want, " "))
			return
		}
	}
}
