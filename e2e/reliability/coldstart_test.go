package reliability_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
)

func TestAColdStartAnswersNothingBeforeItKnowsTheCluster(t *testing.T) {
	cluster(t)
	namespace := enabledNamespace(t)
	body := review(t, namespace, daemonSet(t))
	load := startLoad(t, namespace)
	answers := map[string]int{}
	for range full(8, 100) {
		pod := host.Pods()[0]
		if err := pod.Kill(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the probe to fail", func() (bool, string) { return !pod.Ready(), pod.Name })
		ctx, started := context.WithCancel(t.Context())
		var askers sync.WaitGroup
		var mu sync.Mutex
		for range 2 {
			askers.Go(func() {
				for ctx.Err() == nil {
					client := newClient() // a connection, and so a handshake, each time
					code, answer, err := post(ctx, client, pod, body)
					client.CloseIdleConnections()
					mu.Lock()
					switch {
					case err != nil:
						answers["no connection"]++
					case code == http.StatusOK && !patches(answer):
						t.Errorf("an answer without the patch: %s", answer)
					case code == http.StatusOK, code == http.StatusServiceUnavailable:
						answers[http.StatusText(code)]++
					default:
						t.Errorf("%d: %s", code, answer)
					}
					mu.Unlock()
				}
			})
		}
		eventually(t, "the replica", func() (bool, string) { return pod.Ready(), pod.Name })
		started()
		askers.Wait()
	}
	counts := load.stop(t)
	counts.expectNothingUnmutated(t)
	t.Logf("asked from the first moment on: %v", answers)
}
