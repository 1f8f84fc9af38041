package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"berth.dev/berth/audit"
	"berth.dev/berth/cluster/live"
	"berth.dev/berth/webhook"
)

// The paths that the webhook configurations in deploy/ name.
const (
	mutatePath   = "/mutate-apps-v1-daemonset"
	validatePath = "/validate-apps-v1-daemonset"

	bestEffortValidatePath = "/validate-best-effort-apps-v1-daemonset"

	validatePolicyPath = "/validate-berth-dev-v1alpha1-placementpolicy"
)

// serveOptions is the flags of berth serve.
type serveOptions struct {
	kubeconfig string

	webhookAddress, healthAddress, metricsAddress string

	certFile, keyFile string
	tlsMinVersion     choice
	clientCAFile      string
	clientNames       []string
	selfManaged       selfManagedOptions

	leaderElect          bool
	leaderElectNamespace string

	excluded          audit.Excluded
	namespaceSelector string

	logFormat, logLevel choice
}

func newServeCommand() *cobra.Command {
	o := serveOptions{
		tlsMinVersion: choice{value: "VersionTLS13", choices: []string{"VersionTLS12", "VersionTLS13"}},
		logFormat:     choice{value: "json", choices: []string{"json", "text"}},
		logLevel:      choice{value: "info", choices: []string{"debug", "info", "error"}},
	}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the admission webhook server",
		Long: `Run the admission webhook server.

It follows the cluster's PlacementPolicies, namespaces and nodes, and answers the
API server's AdmissionReviews for DaemonSets. On SIGTERM or SIGINT it is no longer
ready, and goes on answering until its clients have closed their connections, at
most for 20 s. A second signal ends it at once.`,
		Example: `  # In a Pod: the ServiceAccount and the CA's Secret are where berth looks
  berth serve

  # On a workstation, against the cluster of a kubeconfig file
  berth serve --kubeconfig ~/.kube/config --tls-cert-file tls.crt --tls-private-key-file tls.key \
    --leader-election-namespace berth-system --log-format text`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), &o, cmd.ErrOrStderr())
		},
	}
	addFlagGroups(cmd, o.flagGroups()...)
	cmd.MarkFlagsRequiredTogether("tls-cert-file", "tls-private-key-file")
	return cmd
}

func (o *serveOptions) flagGroups() []flagGroup {
	connection := newFlagGroup("Cluster")
	connection.flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster to serve (default: the Pod's ServiceAccount)")

	serving := newFlagGroup("Serving")
	serving.flags.StringVar(&o.webhookAddress, "webhook-bind-address", ":9443", "`address` for the API server's requests")
	serving.flags.StringVar(&o.certFile, "tls-cert-file", "", "PEM `file` of the serving certificate and its chain, read again when it changes (default: berth manages a certificate itself)")
	serving.flags.StringVar(&o.keyFile, "tls-private-key-file", "", "PEM `file` of its private key")
	serving.flags.Var(&o.tlsMinVersion, "tls-min-version", "least TLS `version`: VersionTLS13 or VersionTLS12")
	serving.flags.StringVar(&o.clientCAFile, "client-ca-file", "", "PEM `file` of the CAs that a client's certificate must be signed by, read again when it changes (default: anybody may ask)")
	serving.flags.StringSliceVar(&o.clientNames, "client-allowed-names", nil, "common `names` that a client's certificate may be for (default: any that --client-ca-file verifies)")

	observing := newFlagGroup("Probes, metrics and logs")
	observing.flags.StringVar(&o.healthAddress, "health-probe-bind-address", ":8081", "`address` of /healthz and /readyz")
	observing.flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8080", "`address` of /metrics, or 0 for none")
	observing.flags.Var(&o.logFormat, "log-format", "`format` of the log: json or text")
	observing.flags.Var(&o.logLevel, "log-level", "`level` of the log: debug, info or error")

	election := newFlagGroup("Leader election")
	election.flags.BoolVar(&o.leaderElect, "leader-elect", true, "let one replica alone audit and write the status of policies; all replicas answer requests")
	election.flags.StringVar(&o.leaderElectNamespace, "leader-election-namespace", "", "`namespace` of the Lease (default: the Pod's own)")

	auditing := newFlagGroup("Audit")
	auditing.flags.StringSliceVar(&o.excluded.Namespaces, "excluded-namespaces",
		excludedNamespaces, "`namespaces` that the webhook configurations exclude: no policy applies there")
	auditing.flags.StringSliceVar(&o.excluded.PriorityClasses, "excluded-priority-classes",
		excludedPriorityClasses, "priority `classes` that the webhook configurations exclude")
	auditing.flags.StringVar(&o.namespaceSelector, "namespace-selector", "", namespaceSelectorUsage)
	auditing.flags.BoolVar(&o.excluded.SystemTier, "system-tier", false, "the webhook configurations have a tier for what they exclude, but for the namespace of --leader-election-namespace")

	return []flagGroup{connection, serving, o.selfManaged.flagGroup(), observing, election, auditing}
}

// serve runs the server until the context ends.
func serve(ctx context.Context, o *serveOptions, logTo io.Writer) error {
	log := newLogger(logTo, o.logFormat.value, o.logLevel.value)
	log.Info("Starting berth", "version", version)
	limitMemory()

	config, err := restConfig(o.kubeconfig)
	if err != nil {
		return err
	}
	logger := logr.FromSlogHandler(log.Handler())
	source, err := newCertificateSource(o, config, log)
	if err != nil {
		return err
	}
	clients, err := newClientCA(o)
	if err != nil {
		return err
	}
	server := webhook.NewServer(webhook.Options{
		BindAddress:    o.webhookAddress,
		GetCertificate: source.GetCertificate,
		MinTLSVersion:  tlsVersions[o.tlsMinVersion.value],
		Clients:        clients.options(),
		Logger:         logger,
	})
	mgr, err := newManager(config, server)
	if err != nil {
		return err
	}
	facts := live.New(mgr.GetCache(), mgr.GetAPIReader(), logger)
	// The manager runs the server only when it has been asked for it.
	hooks := mgr.GetWebhookServer()
	excluded := o.excluded.PriorityClasses
	mutator := webhook.NewMutator(facts, logger, excluded...)
	validator, bestEffort := webhook.NewValidator(facts, logger, excluded...), webhook.NewBestEffortValidator(facts, logger, excluded...)
	mutator.Version, validator.Version, bestEffort.Version = version, version, version
	hooks.Register(mutatePath, mutator)
	hooks.Register(validatePath, validator)
	hooks.Register(bestEffortValidatePath, bestEffort)
	hooks.Register(validatePolicyPath, webhook.NewPolicyValidator(logger))

	if err := addAudit(mgr, facts, o); err != nil {
		return err
	}
	checks := map[string]healthz.Checker{"facts": facts.Ready, "certificate": source.Ready, "webhook": server.StartedChecker()}
	if err := addObserving(ctx, mgr, o, checks); err != nil {
		return err
	}
	if err := addBeside(mgr, source, clients, facts); err != nil {
		return err
	}
	if err := awaitAPI(ctx, mgr.GetAPIReader(), log); err != nil {
		return err
	}
	if err := runUntilDrained(ctx, mgr, server); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	log.Info("berth has ended")
	return nil
}

// runUntilDrained runs the manager until the context has ended and the server has drained: what is decided meanwhile is
// decided by facts that are live.
func runUntilDrained(ctx context.Context, mgr manager.Manager, server *webhook.Server) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		server.Drain()
		stop()
	})()
	return mgr.Start(running)
}

func newManager(config *rest.Config, server *webhook.Server) (manager.Manager, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	mgr, err := manager.New(config, manager.Options{
		Scheme:                 scheme,
		MapperProvider:         newMapper,
		Cache:                  cacheOptions(),
		WebhookServer:          server,
		HealthProbeBindAddress: nowhere, // see addObserving
		// With the drain before it and the preStop hook, it fits into a Pod's 30 s.
		GracefulShutdownTimeout: new(4 * time.Second),
		Metrics:                 metricsserver.Options{BindAddress: nowhere},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the server: %w", err)
	}
	return mgr, nil
}

func cacheOptions() cache.Options {
	options := live.CacheOptions()
	options.ByObject[&appsv1.DaemonSet{}] = audit.CacheDaemonSets()
	return options
}

// addBeside gives the manager what runs beside the webhook server.
func addBeside(mgr manager.Manager, beside ...manager.Runnable) error {
	for _, runnable := range beside {
		if err := mgr.Add(runnable); err != nil {
			return fmt.Errorf("prepare the server: %w", err)
		}
	}
	return nil
}

// addAudit gives the manager what reports on the cluster, on the leader.
func addAudit(mgr manager.Manager, facts *live.Facts, o *serveOptions) error {
	election := audit.NoElection()
	var replicas *audit.Replicas
	if o.leaderElect {
		var err error
		if election, err = audit.NewElection(mgr, o.leaderElectNamespace); err != nil {
			return fmt.Errorf("%w\nSay with --leader-election-namespace where the Lease is, or use --leader-elect=false", err)
		}
		if replicas, err = addReplica(mgr, facts, o.leaderElectNamespace, election); err != nil {
			return err
		}
	}
	excluded, err := o.auditExcludes()
	if err != nil {
		return err
	}
	auditor := audit.New(audit.Options{
		Facts: facts, Election: election, Replicas: replicas,
		Cache: mgr.GetCache(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder("berth"),
		Metrics:  metrics.Registry,
		Excluded: excluded,
		Log:      mgr.GetLogger().WithName("audit"),
	})
	for _, runnable := range []manager.Runnable{election, auditor} {
		if err := mgr.Add(runnable); err != nil {
			return fmt.Errorf("prepare the audit: %w", err)
		}
	}
	if err := audit.NewStatusController(mgr.GetClient(), auditor).SetupWithManager(mgr); err != nil {
		return fmt.Errorf("prepare the status controller: %w", err)
	}
	return nil
}
