package audit_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/audit"
	"berth.dev/berth/cluster/live"
	"berth.dev/berth/e2e/apiserver"
)

func TestMain(m *testing.M) { apiserver.Main(m) }

// replica is one berth, but for the webhook server.
type replica struct {
	name     string // of its Lease
	election *audit.Election
	metrics  *prometheus.Registry
	writes   *writes
	stop     func()
}

// writes counts the requests of a replica that change something, but for those
// of the leader election.
type writes struct{ status, events, lease, other atomic.Int32 }

func (w *writes) String() string {
	return fmt.Sprintf("status=%d events=%d other=%d", w.status.Load(), w.events.Load(), w.other.Load())
}

func (w *writes) counting(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		switch path := r.URL.Path; {
		case r.Method != http.MethodGet && strings.Contains(path, "/leases/test-"):
			w.lease.Add(1)
		case r.Method == http.MethodGet, strings.Contains(path, "/leases"), strings.HasPrefix(path, "/api/v1/namespaces/default/events"):
		case strings.HasSuffix(path, "/status"):
			w.status.Add(1)
		case strings.HasSuffix(path, "/events"), strings.Contains(path, "/events/"):
			w.events.Add(1)
		default:
			w.other.Add(1)
		}
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

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
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, coordinationv1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, eventsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// startReplica runs what berth serve runs, but for the webhook server, until the
// test ends or stop is called.
func startReplica(t *testing.T) *replica {
	t.Helper()
	r := &replica{name: "test-" + rand.String(5), metrics: prometheus.NewPedanticRegistry(), writes: &writes{}}
	config := rest.CopyConfig(apiserver.Config(t))
	config.Wrap(r.writes.counting)
	caches := live.CacheOptions()
	caches.ByObject[&appsv1.DaemonSet{}] = audit.CacheDaemonSets()
	skipNameValidation := true
	mgr, err := manager.New(config, manager.Options{
		Scheme:     testScheme(t),
		Cache:      caches,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: &skipNameValidation},
	})
	if err != nil {
		t.Fatal(err)
	}
	facts := live.New(mgr.GetCache(), mgr.GetAPIReader(), logr.Discard())
	if r.election, err = audit.NewElection(mgr, metav1.NamespaceDefault); err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	leases := client.CoordinationV1().Leases(metav1.NamespaceDefault)
	lease := audit.NewReplica(audit.ReplicaOptions{Facts: facts, Leases: leases, Name: r.name, Log: logr.Discard()})
	replicas := audit.NewReplicas(leases, r.election)
	auditor := audit.New(audit.Options{
		Facts: facts, Election: r.election, Replicas: replicas,
		Cache: mgr.GetCache(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder("berth"),
		Metrics:  r.metrics,
		Excluded: audit.Excluded{Namespaces: []string{metav1.NamespaceSystem}, PriorityClasses: []string{"system-node-critical"}},
		Log:      logr.Discard(),
	})
	if err := audit.NewStatusController(mgr.GetClient(), auditor).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	for _, runnable := range []manager.Runnable{facts, r.election, auditor, lease, replicas} {
		if err := mgr.Add(runnable); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the replica ended with: %v", err)
		}
	})
	t.Cleanup(r.stop)
	apiserver.Eventually(t, "the replica is ready", func() bool {
		return facts.Ready(&http.Request{}) == nil && lease.Ready(&http.Request{}) == nil
	})
	return r
}
