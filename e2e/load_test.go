package e2e_test

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/e2e/testbed"
)

// berthRequests counts what berth has asked of the API server so far, without the watches and the renewal of its lease,
// which go on whether or not anything happens.
func berthRequests(t *testing.T) (asked map[string]int) {
	t.Helper()
	requests, err := auditLog.Requests(testbed.BerthUser)
	if err != nil {
		t.Fatal(err)
	}
	asked = map[string]int{}
	for _, r := range requests {
		if r.Verb == "watch" || strings.Contains(r.RequestURI, "/leases/") {
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
	labelNodes(t, "app", "load", "n-1") // or else each DaemonSet would get an Event, for it matches no node
	berthKnows(t)
	// The first write may be of a namespace that berth has not heard of yet.
	kubectl(t, forLabel(t, "load"), "create", "-n", namespace, "-f", "-")

	before := berthRequests(t)
	if len(before) == 0 {
		t.Fatal("the audit log does not even show how berth started, so it would show nothing else")
	}
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			for i := range each {
				ds := parse(t, forLabel(t, "load"))
				ds.Name = fmt.Sprintf("ds-%d-%d", writer, i)
				stored, err := cp.Client.AppsV1().DaemonSets(namespace).Create(t.Context(), ds, metav1.CreateOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				if stored.Spec.Template.Spec.NodeSelector["app"] != "load" {
					t.Errorf("%s was not placed", ds.Name)
				}
			}
		})
	}
	group.Wait()
	for what, n := range berthRequests(t) {
		// The counts in a policy's status follow at a pace of their own, however many DaemonSets are written.
		if n > before[what] && !strings.HasSuffix(what, "/status") {
			t.Errorf("%d writes made berth %s %d times", writers*each, what, n-before[what])
		}
	}
}

// quietBerth waits until berth asks for nothing any more, and returns what it has asked so far. Counts that wait for
// their turn are still to come; a write in every quiet period would keep this from its end.
func quietBerth(t *testing.T) (asked map[string]int) {
	t.Helper()
	before := berthRequests(t)
	for deadline := time.Now().Add(2 * time.Minute); ; {
		time.Sleep(quiet)
		after := berthRequests(t)
		if maps.Equal(before, after) {
			return before
		}
		if time.Now().After(deadline) {
			t.Fatalf("berth asks on and on (-before +after):\n%s", cmp.Diff(before, after))
		}
		before = after
	}
}

// quiet is longer than counts wait for their turn.
const quiet = 12 * time.Second

// Nodes send their heartbeats all the while.
func TestAQuietClusterSeesNoWriteOfBerth(t *testing.T) {
	before := quietBerth(t)
	time.Sleep(quiet)
	if diff := cmp.Diff(before, berthRequests(t)); diff != "" {
		t.Errorf("berth asked again after %s without a request (-before +after):\n%s", quiet, diff)
	}
}
