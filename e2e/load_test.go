package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// request is what the audit log says of one request.
type request struct {
	Stage      string `json:"stage"`
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
}

// berthRequests counts what berth has asked of the API server so far, without the watches and the renewal of its lease,
// which go on whether or not somebody writes DaemonSets.
func berthRequests(t *testing.T) (asked map[string]int) {
	t.Helper()
	asked = map[string]int{}
	for line := range strings.Lines(readFile(t, auditLog)) {
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		var r request
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Stage != "ResponseComplete" || r.Verb == "watch" || strings.Contains(r.RequestURI, "/leases/") {
			continue
		}
		path, _, _ := strings.Cut(r.RequestURI, "?")
		asked[r.Verb+" "+path]++
	}
	return asked
}

func TestWritingDaemonSetsCausesNoCallOfBerthToTheAPIServer(t *testing.T) {
	const writers, each = 4, 50
	namespace := newNamespace(t, enabled)
	// The first write may be of a namespace that berth has not heard of yet.
	kubectl(t, tutorial(t), "create", "-n", namespace, "-f", "-")

	before := berthRequests(t)
	if len(before) == 0 {
		t.Fatal("the audit log does not even show how berth started, so it would show nothing else")
	}
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for i := range each {
				ds := parse(t, tutorial(t))
				ds.Name = fmt.Sprintf("ds-%d-%d", writer, i)
				stored, err := cp.Client.AppsV1().DaemonSets(namespace).Create(t.Context(), ds, metav1.CreateOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				if stored.Spec.Template.Spec.NodeSelector["app"] != "example" {
					t.Errorf("%s was not placed", ds.Name)
				}
			}
		})
	}
	group.Wait()
	for what, n := range berthRequests(t) {
		if n > before[what] {
			t.Errorf("%d writes made berth %s %d times", writers*each, what, n-before[what])
		}
	}
}
