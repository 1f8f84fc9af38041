package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"berth.dev/berth/api/v1alpha1"
	"berth.dev/berth/cluster"
	"berth.dev/berth/cluster/live"
	"berth.dev/berth/e2e/apiserver"
	"berth.dev/berth/placement"
)

// forgetfulFacts can forget the namespaces, and then cannot ask for them either.
type forgetfulFacts struct {
	*live.Facts
	forgotten atomic.Bool
}

func (f *forgetfulFacts) Snapshot() *cluster.Snapshot {
	snapshot := f.Facts.Snapshot()
	if f.forgotten.Load() {
		return cluster.NewSnapshot(snapshot.Policies(), nil, &cluster.NodeIndex{})
	}
	return snapshot
}

func (f *forgetfulFacts) Namespace(context.Context, string) (placement.Namespace, error) {
	return placement.Namespace{}, errors.New("the line is dead")
}

// realAPIServer starts an API server that calls our server, as the manifest in deploy says, with facts that follow it.
func realAPIServer(t *testing.T) (client.Client, *forgetfulFacts) {
	t.Helper()
	var facts *forgetfulFacts
	admin := startAPIServer(t, func(mgr manager.Manager) Facts {
		facts = &forgetfulFacts{Facts: live.New(mgr.GetCache(), mgr.GetAPIReader(), logr.Discard())}
		if err := mgr.Add(facts); err != nil {
			t.Fatal(err)
		}
		return facts
	})
	return admin, facts
}

// apiServerWith starts an API server that calls our server, which has these facts.
func apiServerWith(t *testing.T, facts Facts) client.Client {
	t.Helper()
	return startAPIServer(t, func(manager.Manager) Facts { return facts })
}

func startAPIServer(t *testing.T, newFacts func(manager.Manager) Facts) client.Client {
	t.Helper()
	ctrllog.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	assets, err := apiserver.Assets()
	if err != nil {
		t.Fatal(err)
	}
	environment := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{"../deploy/chart/crds"},
		ErrorIfCRDPathMissing: true,
		WebhookInstallOptions: envtest.WebhookInstallOptions{Paths: []string{"../deploy/berth.yaml"}},
	}
	config, err := environment.Start()
	if err != nil {
		t.Fatalf("start the API server: %v", err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	install := environment.WebhookInstallOptions
	certificate, err := tls.LoadX509KeyPair(filepath.Join(install.LocalServingCertDir, "tls.crt"), filepath.Join(install.LocalServingCertDir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(Options{
		BindAddress:    net.JoinHostPort(install.LocalServingHost, strconv.Itoa(install.LocalServingPort)),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
		Logger:         logr.Discard(),
	})
	mgr, err := manager.New(config, manager.Options{
		Scheme: scheme, Cache: live.CacheOptions(), WebhookServer: server, Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	facts := newFacts(mgr)
	hooks := mgr.GetWebhookServer()
	hooks.Register(MutatePath, NewMutator(facts, logr.Discard()))
	hooks.Register(ValidatePath, NewValidator(facts, logr.Discard()))
	runManager(t, mgr)
	admin, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

func runManager(t *testing.T, mgr manager.Manager) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("stop the manager: %v", err)
		}
	})
}

func TestARealAPIServerPlacesDeniesAndPassesOnWhatWeSay(t *testing.T) {
	admin, facts := realAPIServer(t)
	var policy v1alpha1.PlacementPolicy
	if err := yaml.UnmarshalStrict([]byte(ownLabel), &policy); err != nil {
		t.Fatal(err)
	}
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "harbour", Labels: map[string]string{"berth.dev/placement": "enabled"}}}
	for _, object := range []client.Object{&policy, space} {
		if err := admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		snapshot := facts.Snapshot()
		if snapshot == nil {
			return false, nil
		}
		policies, _ := snapshot.PoliciesFor(space.Name)
		return policies.Len() == 1, nil
	})
	if err != nil {
		t.Fatalf("the policy does not reach the webhooks: %v", err)
	}

	placedNow := tutorialIn(t, space.Name, "placed")
	if err := admin.Create(t.Context(), placedNow); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"app": "example"}, placedNow.Spec.Template.Spec.NodeSelector); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}

	malformed := tutorialIn(t, space.Name, "malformed")
	malformed.Spec.Template.Spec.NodeName = "n-1"
	err = admin.Create(t.Context(), malformed)
	if !apierrors.IsInvalid(err) || !strings.HasPrefix(err.Error(), `admission webhook "mutate.berth.dev" denied the request: `+
		`DaemonSet.apps "malformed" is invalid: spec.template.spec.nodeName: Forbidden: `) {
		t.Errorf("malformed: %v", err)
	}

	facts.forgotten.Store(true)
	err = admin.Create(t.Context(), tutorialIn(t, space.Name, "unlucky"))
	if !apierrors.IsInternalError(err) || !strings.HasSuffix(err.Error(), `failed calling webhook "mutate.berth.dev": failed to call webhook: `+
		`berth: namespace "harbour" is not in the cache, and asking for it failed: the line is dead`) {
		t.Errorf("with facts forgotten: %v", err)
	}
}

// tutorialIn is the tutorial's DaemonSet under another name.
func tutorialIn(t *testing.T, namespace, name string) *appsv1.DaemonSet {
	t.Helper()
	var ds appsv1.DaemonSet
	if err := json.UnmarshalCaseSensitivePreserveInts([]byte(tutorial), &ds); err != nil {
		t.Fatal(err)
	}
	ds.Namespace, ds.Name = namespace, name
	return &ds
}
