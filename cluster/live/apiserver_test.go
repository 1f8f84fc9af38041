package live_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster/live"
	"berth.dev/berth/e2e/apiserver"
)

func TestMain(m *testing.M) { apiserver.Main(m) }

// admin is a client that may do everything and caches nothing.
func admin(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(apiserver.Config(t), client.Options{Scheme: testScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// startFacts follows the API server until the test ends, and is ready.
func startFacts(t *testing.T) *live.Facts {
	t.Helper()
	mgr, err := manager.New(apiserver.Config(t), manager.Options{
		Scheme:  testScheme(t),
		Cache:   live.CacheOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	facts := live.New(mgr.GetCache(), mgr.GetAPIReader(), logr.Discard())
	if err := mgr.Add(facts); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the manager ended with: %v", err)
		}
	})
	apiserver.Eventually(t, "the facts are ready", func() bool { return facts.Ready(&http.Request{}) == nil })
	return facts
}
