package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/cluster"
	"berth.dev/berth/coverage"
	"berth.dev/berth/manifests"
)

// addReadKinds adds the kinds that only the command line reads.
func addReadKinds(scheme *runtime.Scheme, mapper meta.RESTMapper) meta.RESTMapper {
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Pod{}, &corev1.PodList{}, &corev1.Event{}, &corev1.EventList{}, &corev1.LimitRange{}, &corev1.LimitRangeList{})
	scheme.AddKnownTypes(nodev1.SchemeGroupVersion, &nodev1.RuntimeClass{}, &nodev1.RuntimeClassList{})
	metav1.AddToGroupVersion(scheme, nodev1.SchemeGroupVersion)
	scheme.AddKnownTypes(appsv1.SchemeGroupVersion, &appsv1.ControllerRevision{}, &appsv1.ControllerRevisionList{})
	hooks := admissionregistrationv1.SchemeGroupVersion
	scheme.AddKnownTypes(hooks, &admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.MutatingWebhookConfigurationList{},
		&admissionregistrationv1.ValidatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfigurationList{})
	metav1.AddToGroupVersion(scheme, hooks)
	more := meta.NewDefaultRESTMapper(nil)
	more.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	more.Add(corev1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace)
	more.Add(corev1.SchemeGroupVersion.WithKind("LimitRange"), meta.RESTScopeNamespace)
	more.Add(nodev1.SchemeGroupVersion.WithKind("RuntimeClass"), meta.RESTScopeRoot)
	more.Add(appsv1.SchemeGroupVersion.WithKind("ControllerRevision"), meta.RESTScopeNamespace)
	more.Add(hooks.WithKind("MutatingWebhookConfiguration"), meta.RESTScopeRoot)
	more.Add(hooks.WithKind("ValidatingWebhookConfiguration"), meta.RESTScopeRoot)
	return meta.MultiRESTMapper{mapper, more}
}

// unknowns is what the user lacks the rights to read.
type unknowns struct{ said []string }

// forgive returns an error unless it is that a right is lacking: that is said, with what it means, and the rest goes on.
func (u *unknowns) forgive(err error, right, meaning string) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		if text := fmt.Sprintf("%s: you lack the right to %s", meaning, right); !slices.Contains(u.said, text) {
			u.said = append(u.said, text)
		}
		return nil
	}
	return fmt.Errorf("%s: %w", right, err)
}

// addPodDefaults reads what the API server adds to the requests of pods.
func (c *liveCluster) addPodDefaults(ctx context.Context, to *manifests.Set, u *unknowns) error {
	var limits corev1.LimitRangeList
	err := c.List(ctx, &limits)
	if err := u.forgive(err, "list limitranges in all namespaces", "what LimitRanges add to the requests of pods"); err != nil {
		return err
	}
	var classes nodev1.RuntimeClassList
	err = c.List(ctx, &classes)
	if err := u.forgive(err, "list runtimeclasses", "what RuntimeClasses add to the requests of pods"); err != nil {
		return err
	}
	to.LimitRanges, to.RuntimeClasses = append(to.LimitRanges, limits.Items...), append(to.RuntimeClasses, classes.Items...)
	return nil
}

// podsOf are the pods that a DaemonSet controls.
func (c *liveCluster) podsOf(ctx context.Context, ds *appsv1.DaemonSet) ([]*corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("read spec.selector of DaemonSet %s/%s: %w", ds.Namespace, ds.Name, err)
	}
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(ds.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, err
	}
	return coverage.Controlled(ds, pods.Items), nil
}

// revisionOf is the controller-revision-hash of the DaemonSet's current template.
func (c *liveCluster) revisionOf(ctx context.Context, ds *appsv1.DaemonSet) (string, error) {
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		return "", err
	}
	var revisions appsv1.ControllerRevisionList
	if err := c.List(ctx, &revisions, client.InNamespace(ds.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return "", err
	}
	return coverage.CurrentRevision(ds, revisions.Items), nil
}

// createErrorOf is the last thing that the DaemonSet controller has said of why it cannot create pods; empty: nothing.
func (c *liveCluster) createErrorOf(ctx context.Context, ds *appsv1.DaemonSet) (string, error) {
	var events corev1.EventList
	about := fields.Set{"involvedObject.uid": string(ds.UID), "reason": "FailedCreate"}
	if err := c.List(ctx, &events, client.InNamespace(ds.Namespace), client.MatchingFieldsSelector{Selector: about.AsSelector()}); err != nil {
		return "", err
	}
	var last *corev1.Event
	for i := range events.Items {
		if e := &events.Items[i]; last == nil || last.LastTimestamp.Before(&e.LastTimestamp) {
			last = e
		}
	}
	if last == nil {
		return "", nil
	}
	return createError.ReplaceAllString(last.Message, ""), nil
}

// createError is the begin of such an Event, which names a pod that never was: the rest is the same for all.
var createError = regexp.MustCompile(`^(\(combined from similar events\): )?Error creating: (pods "[^"]*" is forbidden: )?`)

// factsOf reads what there is of one DaemonSet beside the nodes. What may not be read is said.
func (c *liveCluster) factsOf(ctx context.Context, ds *appsv1.DaemonSet, u *unknowns) (*coverage.Facts, error) {
	f := &coverage.Facts{DaemonSet: ds, Now: time.Now()}
	var err error
	if f.Pods, err = c.podsOf(ctx, ds); err != nil {
		if apierrors.IsForbidden(err) {
			return nil, u.forgive(err, "list pods in namespace "+ds.Namespace, "where pods run")
		}
		return nil, fmt.Errorf("read the pods of DaemonSet %s/%s: %w", ds.Namespace, ds.Name, err)
	}
	f.Revision, err = c.revisionOf(ctx, ds)
	if err := u.forgive(err, "list controllerrevisions in namespace "+ds.Namespace, "which pods are of the current template"); err != nil {
		return nil, err
	}
	if len(f.Pods) < int(ds.Status.DesiredNumberScheduled) {
		f.CreateError, err = c.createErrorOf(ctx, ds)
		if err := u.forgive(err, "list events in namespace "+ds.Namespace, "why pods could not be created"); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// webhooks are berth's for DaemonSets, as they are registered.
func (c *liveCluster) webhooks(ctx context.Context) ([]cluster.Webhook, error) {
	var mutating admissionregistrationv1.MutatingWebhookConfigurationList
	if err := c.List(ctx, &mutating); err != nil {
		return nil, err
	}
	var validating admissionregistrationv1.ValidatingWebhookConfigurationList
	if err := c.List(ctx, &validating); err != nil {
		return nil, err
	}
	return append(cluster.MutatingWebhooks(mutating.Items), cluster.ValidatingWebhooks(validating.Items)...), nil
}

// daemonSetNames reads ds/NAME… or ds NAME…, as kubectl does.
func daemonSetNames(args []string) ([]string, error) {
	isKind := func(word string) bool {
		switch strings.ToLower(word) {
		case "ds", "daemonset", "daemonsets", "daemonset.apps", "daemonsets.apps", "daemonset.v1.apps", "daemonsets.v1.apps":
			return true
		}
		return false
	}
	if len(args) > 1 && isKind(args[0]) {
		for _, name := range args[1:] {
			if strings.Contains(name, "/") {
				return nil, fmt.Errorf("%s %s: name DaemonSets as ds/NAME… or as ds NAME…", args[0], name)
			}
		}
		return args[1:], nil
	}
	var names []string
	for _, arg := range args {
		kind, name, found := strings.Cut(arg, "/")
		switch {
		case !found || name == "" || strings.Contains(name, "/"):
			return nil, fmt.Errorf("%q names no DaemonSet: say ds/NAME", arg)
		case !isKind(kind):
			return nil, fmt.Errorf("%q is no DaemonSet, and berth knows of no others: say ds/NAME", arg)
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, errors.New("no DaemonSet is named: say ds/NAME")
	}
	return names, nil
}
