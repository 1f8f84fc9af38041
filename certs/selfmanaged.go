package certs

import (
	"context"
	"fmt"
	"net/http"
	"time"

	cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	admissionv1client "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
)

// Options says where a SelfManaged source has its CA and whom it tells about it.
type Options struct {
	// Namespace and Secret are where the CA is kept.
	Namespace, Secret string
	// Configurations is the name of the mutating and of the validating webhook configuration. A validating one of
	// the same name with "-policies" behind it is looked after too.
	Configurations string
	// SystemTier says that there are both with "-system" behind it as well.
	SystemTier bool
	// CARotation and ServingRotation are how often each is replaced.
	CARotation, ServingRotation time.Duration
	// Logger gets what happens.
	Logger logr.Logger
	// Now is the clock; nil: the machine's.
	Now func() time.Time
}

// SelfManaged serves a certificate of berth's own CA and renews it.
type SelfManaged struct {
	*cmtls.DynamicSource
	authority *Authority
	log       logr.Logger
}

// NewSelfManaged returns a source for one replica. All that have the same
// options share one CA.
func NewSelfManaged(config *rest.Config, o Options) (*SelfManaged, error) {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server for the CA: %w", err)
	}
	admission, err := admissionv1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server for caBundle: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	log := o.Logger.WithName("certs")
	a := &Authority{
		vault: vault{
			secrets:  core.Secrets(o.Namespace),
			name:     o.Secret,
			rotation: o.CARotation,
			now:      o.Now,
			log:      log.WithValues("namespace", o.Namespace, "secret", o.Secret),
		},
		published: publication{client: admission.RESTClient(), manager: managerOf(o.Namespace, o.Secret)},
		leaf:      o.ServingRotation,
		now:       o.Now,
		log:       log,
		wake:      make(chan struct{}, 1),
		waiting:   errUnheard,
	}
	a.watch = func(ctx context.Context, wake func()) {
		secret := one(core.RESTClient(), "secrets", o.Namespace, o.Secret)
		informers := []toolscache.Controller{follow(secret, &corev1.Secret{}, a.sawSecret, wake)}
		for which, from := range sources {
			if from.suffix == systemSuffix && !o.SystemTier {
				continue
			}
			source := one(admission.RESTClient(), from.resource, "", o.Configurations+from.suffix)
			informers = append(informers, follow(source, from.object, func(object any) { a.sawConfiguration(which, object) }, wake))
		}
		run(ctx, informers)
	}
	return &SelfManaged{
		DynamicSource: &cmtls.DynamicSource{Authority: a, RetryInterval: signEvery},
		authority:     a,
		log:           log,
	}, nil
}

// Start signs and renews until the context ends.
func (s *SelfManaged) Start(ctx context.Context) error {
	// What DynamicSource tells step by step is for debugging.
	return s.DynamicSource.Start(logr.NewContext(ctx, s.log.V(1)))
}

// Ready is a readiness check: it fails until there is a certificate that both
// webhook configurations trust.
func (s *SelfManaged) Ready(*http.Request) error {
	if s.Healthy() {
		return nil
	}
	if err := s.authority.Ready(); err != nil {
		return err
	}
	return cmtls.ErrNotAvailable
}

func (a *Authority) sawSecret(object any) {
	secret, _ := object.(*corev1.Secret)
	a.vault.saw(secret)
}

func (a *Authority) sawConfiguration(which int, object any) {
	c, err := newConfiguration(object)
	if err != nil {
		c = nil
	}
	a.published.saw(which, c)
}

// one lists and watches a single object.
func one(client rest.Interface, resource, namespace, name string) toolscache.ListerWatcher {
	return toolscache.NewListWatchFromClient(client, resource, namespace, fields.OneTermEqualSelector("metadata.name", name))
}

// follow hands every version of the object to saw, and nil when it is gone.
func follow(source toolscache.ListerWatcher, object runtime.Object, saw func(any), wake func()) toolscache.Controller {
	handle := func(object any) {
		saw(object)
		wake()
	}
	_, controller := toolscache.NewInformerWithOptions(toolscache.InformerOptions{
		ListerWatcher: source,
		ObjectType:    object,
		Handler: toolscache.ResourceEventHandlerFuncs{
			AddFunc:    handle,
			UpdateFunc: func(_, object any) { handle(object) },
			DeleteFunc: func(any) { handle(nil) },
		},
	})
	return controller
}

// run runs the informers until the context ends. It returns when all have seen
// what there is, or the context has ended.
func run(ctx context.Context, informers []toolscache.Controller) {
	synced := make([]toolscache.InformerSynced, 0, len(informers))
	for _, informer := range informers {
		go informer.RunWithContext(ctx)
		synced = append(synced, informer.HasSynced)
	}
	toolscache.WaitForCacheSync(ctx.Done(), synced...)
}
