package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	admissionv1client "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	appsv1client "k8s.io/client-go/kubernetes/typed/apps/v1"
	"k8s.io/client-go/util/retry"

	"berth.dev/berth/api/v1alpha1"
)

const (
	enforceManager = "berth-enforce"
	enforceEvery   = 250 * time.Millisecond
	// heardWithin is how long after a replica is ready every node and API server knows where it is.
	heardWithin = 5 * time.Second
)

// enforceOptions is the flags of berth enforce.
type enforceOptions struct {
	kubeconfig, deployment, configurations string
}

func newEnforceCommand() *cobra.Command {
	var o enforceOptions
	cmd := &cobra.Command{
		Use:   "enforce",
		Short: "Set failurePolicy Fail once berth answers",
		Long: `Set failurePolicy Fail once berth answers.

It waits until replicas of the Deployment have been ready for 5 s, the API server has
been told to trust them, and reaches them: asked by a dry run whether it would store a
PlacementPolicy that berth denies, it says so. Then failurePolicy of the ordinary
webhooks is set to Fail. The Helm chart runs this in a Job after an installation, so
that no write fails before there is somebody to ask.`,
		Example: `  berth enforce --deployment berth-system/berth --webhook-configurations berth`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	flags := newFlagGroup("Flags")
	flags.flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster (default: the Pod's ServiceAccount)")
	flags.flags.StringVar(&o.deployment, "deployment", "berth-system/berth", "`namespace/name` of berth's Deployment")
	flags.flags.StringVar(&o.configurations, "webhook-configurations", "berth", "`name` of the mutating and of the validating webhook configuration")
	addFlagGroups(cmd, flags)
	return cmd
}

// enforcer waits for a Deployment and changes two webhook configurations.
type enforcer struct {
	deployments            appsv1client.DeploymentInterface
	hooks                  admissionv1client.AdmissionregistrationV1Interface
	deployment, configured string
	log                    *slog.Logger
}

func (o *enforceOptions) run(ctx context.Context, logTo io.Writer) error {
	namespace, name, found := strings.Cut(o.deployment, "/")
	if !found || namespace == "" || name == "" {
		return fmt.Errorf("--deployment=%s: must be NAMESPACE/NAME", o.deployment)
	}
	config, err := restConfig(o.kubeconfig)
	if err != nil {
		return err
	}
	apps, err := appsv1client.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	hooks, err := admissionv1client.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	e := &enforcer{
		deployments: apps.Deployments(namespace), hooks: hooks,
		deployment: name, configured: o.configurations, log: newLogger(logTo, "json", "info"),
	}
	if err := e.await(ctx); err != nil {
		return err
	}
	return e.enforce(ctx)
}

// await returns when berth has answered for a while.
func (e *enforcer) await(ctx context.Context) error {
	var since time.Time
	last := ""
	for {
		reason := e.unready(ctx)
		switch {
		case reason != nil:
			since = time.Time{}
			if text := reason.Error(); text != last {
				e.log.Info("Waiting", "for", text)
				last = text
			}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= heardWithin:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped while waiting for berth: %w", ctx.Err())
		case <-time.After(enforceEvery):
		}
	}
}

// unready says why the API server may not ask berth yet; nil: it may.
func (e *enforcer) unready(ctx context.Context) error {
	deployment, err := e.deployments.Get(ctx, e.deployment, metav1.GetOptions{})
	if err != nil {
		return explain(err)
	}
	if deployment.Status.ReadyReplicas == 0 {
		return fmt.Errorf("a ready replica of Deployment %s", e.deployment)
	}
	mutating, err := e.hooks.MutatingWebhookConfigurations().Get(ctx, e.configured, metav1.GetOptions{})
	if err != nil {
		return explain(err)
	}
	validating, err := e.hooks.ValidatingWebhookConfigurations().Get(ctx, e.configured, metav1.GetOptions{})
	if err != nil {
		return explain(err)
	}
	var clients []admissionv1.WebhookClientConfig
	for i := range mutating.Webhooks {
		clients = append(clients, mutating.Webhooks[i].ClientConfig)
	}
	for i := range validating.Webhooks {
		clients = append(clients, validating.Webhooks[i].ClientConfig)
	}
	for i := range clients {
		if len(clients[i].CABundle) == 0 {
			return errors.New("caBundle of the webhook configurations " + e.configured)
		}
	}
	return e.reached(ctx)
}

// probe is a policy that the API server's schema takes, and berth denies: nobody has declared what it asks for.
const probe = `{"apiVersion":"berth.dev/v1alpha1","kind":"PlacementPolicy","metadata":{"name":"berth-enforce"},` +
	`"spec":{"nodeChecks":{},"matchConditions":[{"name":"does-not-compile","expression":"berthIsAsked"}]}}`

// deniedByBerth is what the API server says then (k8s.io/apiserver pkg/admission/plugin/webhook/errors ToStatusErr).
const deniedByBerth = `admission webhook "policies.berth.dev" denied the request`

// reached says why the API server has not asked berth; nil: it has.
func (e *enforcer) reached(ctx context.Context) error {
	err := e.hooks.RESTClient().Post().AbsPath("/apis", v1alpha1.GroupVersion.String(), "placementpolicies").
		Param("dryRun", metav1.DryRunAll).SetHeader("Content-Type", runtime.ContentTypeJSON).Body([]byte(probe)).Do(ctx).Error()
	switch {
	case err == nil:
		return errors.New("the API server to reach berth: it did not ask it about a PlacementPolicy; may it connect to the pods of " + e.deployment +
			", on the port of the webhook? With webhook.caBundle, does that fit the certificate?")
	case strings.Contains(err.Error(), deniedByBerth):
		return nil
	}
	return explain(err)
}

// What the API server is told: to refuse what it could not ask about, and to ask whether everything is there.
const (
	mutatingFails   = `{"webhooks":[{"name":"mutate.berth.dev","failurePolicy":"Fail"}]}`
	validatingFails = `{"webhooks":[{"name":"validate.berth.dev","failurePolicy":"Fail","clientConfig":{"service":{"path":"` + validatePath + `"}}}]}`
)

func (e *enforcer) enforce(ctx context.Context) error {
	for _, change := range []struct{ resource, patch string }{
		{"validatingwebhookconfigurations", validatingFails}, {"mutatingwebhookconfigurations", mutatingFails},
	} {
		err := e.hooks.RESTClient().Patch(types.StrategicMergePatchType).Resource(change.resource).Name(e.configured).
			Param("fieldManager", enforceManager).Body([]byte(change.patch)).Do(ctx).Error()
		if err == nil {
			err = retry.RetryOnConflict(retry.DefaultBackoff, func() error { return e.disown(ctx, change.resource) })
		}
		if err != nil {
			return fmt.Errorf("set failurePolicy of %s %s: %w", change.resource, e.configured, err)
		}
	}
	e.log.Info("From now on DaemonSets that berth has not seen are refused", "configurations", e.configured)
	return nil
}

// disown leaves nobody's name on what was set: Helm may set it otherwise later, and would run into a conflict.
func (e *enforcer) disown(ctx context.Context, resource string) error {
	raw, err := e.hooks.RESTClient().Get().Resource(resource).Name(e.configured).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return err
	}
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	i := slices.IndexFunc(object.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool { return entry.Manager == enforceManager })
	if i < 0 {
		return nil
	}
	// The version makes the write fail when somebody has written meanwhile.
	patch := fmt.Sprintf(`[{"op":"replace","path":"/metadata/resourceVersion","value":%q},{"op":"remove","path":"/metadata/managedFields/%d"}]`, object.ResourceVersion, i)
	return e.hooks.RESTClient().Patch(types.JSONPatchType).Resource(resource).Name(e.configured).Body([]byte(patch)).Do(ctx).Error()
}
