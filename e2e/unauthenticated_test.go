//go:build linux

package e2e_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// calls is n requests to the webhooks, one kind after the other, over several connections and without credentials.
type calls struct {
	url    string
	client *http.Client
	kinds  []call
}

// call is what anybody can send.
type call struct {
	path, contentType string
	body              []byte
}

// send counts the answers by kind and status.
func (c *calls) send(t *testing.T, n int) map[string]int {
	t.Helper()
	var mu sync.Mutex
	var next atomic.Int64
	answers := map[string]int{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				which := int(i) % len(c.kinds)
				kind := c.kinds[which]
				response, err := c.client.Post(c.url+kind.path, kind.contentType, strings.NewReader(string(kind.body)))
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				mu.Lock()
				answers[fmt.Sprintf("%d: %d", which, response.StatusCode)]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return answers
}

// daemonSetJSON is the tutorial's DaemonSet as the API server sends it.
func daemonSetJSON(t *testing.T, value string) []byte {
	t.Helper()
	object, err := yaml.YAMLToJSON([]byte(forLabel(t, value)))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func garbage(n int) []byte {
	random := rand.NewChaCha8([32]byte{1})
	bytes := make([]byte, n)
	_, _ = random.Read(bytes)
	return bytes
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// goroutines is how many berth has.
func goroutines(t *testing.T) (n int) {
	t.Helper()
	for line := range strings.Lines(fetch(t, "http://"+berth.MetricsAddress+"/metrics")) {
		if _, err := fmt.Sscanf(line, "go_goroutines %d", &n); err == nil {
			return n
		}
	}
	t.Fatal("the metrics have no go_goroutines")
	return 0
}

func TestWhoeverCanConnectCanOnlyAsk(t *testing.T) {
	const n, each = 10_000, 1_000
	namespace := newNamespace(t, enabled)
	berthKnows(t)
	review := reviewOf(t, namespace, daemonSetJSON(t, "anybody"))
	all := calls{url: "https://" + berth.Address, client: berthClient(t, berth.CABundle)}
	all.kinds = []call{
		{mutatePath, "application/json", review},
		{validatePath, "application/json", review},
		{mutatePath, "application/json", reviewOf(t, namespace, []byte(`{"metadata":{},"spec":{"selector":[],"template":{}}}`))},
		{mutatePath, "application/json", reviewOf(t, "kube-system", []byte(`null`))},
		{mutatePath, "application/json", review[:len(review)/2]},
		{mutatePath, "application/json", garbage(4096)},
		{mutatePath, "application/json", nil},
		{mutatePath, "text/plain", review},
		{validatePath, "application/octet-stream", garbage(64 << 10)},
		{"/no-such-path", "application/json", review},
	}
	requests := quietBerth(t)
	pid, before := berth.Pid(), goroutines(t)
	watched := watchSockets(t, pid)
	got := all.send(t, n)
	outside := watched()

	want := map[string]int{"0: 200": each, "1: 200": each, "2: 400": each, "3: 400": each, "4: 400": each, "5: 400": each,
		"6: 400": each, "7: 415": each, "8: 415": each, "9: 404": each}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string(nil), outside); diff != "" {
		t.Errorf("connections that berth made meanwhile (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(requests, berthRequests(t)); diff != "" {
		t.Errorf("requests of berth to the API server (-before +after):\n%s", diff)
	}
	if now := berth.Pid(); now != pid {
		t.Errorf("process %d has become %d", pid, now)
	}
	all.client.CloseIdleConnections()
	waitFor(t, "the goroutines of the calls to end", func() (bool, string) {
		now := goroutines(t)
		return now <= before+10, fmt.Sprintf("%d, before %d", now, before)
	})
}

// Whoever can connect may name namespaces that do not exist. That must neither become a flood of the API server nor
// keep the API server from an answer about a namespace that does.
func TestNamespacesThatDoNotExistCauseFewReadsAndHinderNobody(t *testing.T) {
	labelNodes(t, "app", "meanwhile", "n-4")
	all := calls{url: "https://" + berth.Address, client: berthClient(t, berth.CABundle)}
	object := daemonSetJSON(t, "anybody")
	for i := range 100 {
		all.kinds = append(all.kinds, call{mutatePath, "application/json", reviewOf(t, fmt.Sprint("no-such-namespace-", i), object)})
	}
	before := berthRequests(t)
	watched := watchSockets(t, berth.Pid())
	began := time.Now()
	var group sync.WaitGroup
	var answers map[string]int
	group.Go(func() { answers = all.send(t, 10_000) })
	for range 3 {
		namespace := newNamespace(t, enabled)
		kubectl(t, forLabel(t, "meanwhile"), "create", "-n", namespace, "-f", "-")
		expectNodeSelector(t, get(t, namespace, tutorialName), map[string]string{"app": "meanwhile"})
	}
	group.Wait()
	outside := watched()
	most := 20 + 10*int(time.Since(began)/time.Second+1)

	reads := 0
	for what, times := range berthRequests(t) {
		if strings.HasPrefix(what, "get /api/v1/namespaces/no-such-namespace-") {
			reads += times - before[what]
		}
	}
	if reads == 0 || reads > most {
		t.Errorf("berth read %d namespaces, want 1 to %d", reads, most)
	}
	codes := map[string]int{}
	for answer, times := range answers {
		codes[answer[strings.Index(answer, ": ")+2:]] += times
	}
	if diff := cmp.Diff(map[string]int{"500": reads, "503": 10_000 - reads}, codes); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string(nil), outside); diff != "" {
		t.Errorf("connections that berth made meanwhile (-want +got):\n%s", diff)
	}
}

// watchSockets looks at the sockets of a process until the returned function is called, which names those that were not
// there at first, without the connections that others made to it.
func watchSockets(t *testing.T, pid int) (stop func() (outside []string)) {
	t.Helper()
	first := outbound(t, pid)
	seen := map[string]bool{}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, socket := range outbound(t, pid) {
				seen[socket] = true
			}
			select {
			case <-ended:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() (outside []string) {
		close(ended)
		<-done
		for socket := range seen {
			if !slices.Contains(first, socket) {
				outside = append(outside, socket)
			}
		}
		return outside
	}
}
