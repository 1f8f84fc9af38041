package main

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"berth.dev/berth/audit"
)

// berthNamespace is where the chart is installed by default.
const berthNamespace = "berth-system"

const namespaceSelectorUsage = "label `selector`, as JSON, of the namespaces that the webhook configurations are for (default: all)"

// What the webhook configurations exclude by default.
var (
	excludedNamespaces      = []string{"kube-system", "kube-public", "kube-node-lease", berthNamespace}
	excludedPriorityClasses = []string{"system-node-critical", "system-cluster-critical"}
)

// auditExcludes is what the webhook configurations keep from berth.
func (o *serveOptions) auditExcludes() (audit.Excluded, error) {
	excluded := o.excluded
	excluded.OwnNamespace = o.leaderElectNamespace
	var err error
	excluded.NamespaceSelector, err = parseNamespaceSelector(o.namespaceSelector)
	return excluded, err
}

// parseNamespaceSelector reads what --namespace-selector says; nil for "", which is all namespaces.
func parseNamespaceSelector(text string) (labels.Selector, error) {
	if text == "" {
		return nil, nil
	}
	var from metav1.LabelSelector
	err := json.Unmarshal([]byte(text), &from)
	var selector labels.Selector
	if err == nil {
		selector, err = metav1.LabelSelectorAsSelector(&from)
	}
	if err != nil {
		return nil, fmt.Errorf(`--namespace-selector: %w; want JSON such as {"matchLabels":{"berth.dev/placement":"enabled"}}`, err)
	}
	return selector, nil
}

// scopeFlags say what the webhook configurations leave out, to a command that does not serve.
type scopeFlags struct {
	set               audit.Excluded
	namespaceSelector string
}

func (f *scopeFlags) group() flagGroup {
	scope := newFlagGroup("Scope")
	scope.flags.StringSliceVar(&f.set.Namespaces, "excluded-namespaces", excludedNamespaces, "`namespaces` that the webhook configurations exclude")
	scope.flags.StringSliceVar(&f.set.PriorityClasses, "excluded-priority-classes", excludedPriorityClasses, "priority `classes` that the webhook configurations exclude")
	scope.flags.StringVar(&f.namespaceSelector, "namespace-selector", "", namespaceSelectorUsage)
	scope.flags.BoolVar(&f.set.SystemTier, "system-tier", false, "the webhook configurations have a tier for what they exclude, but for namespace berth-system")
	return scope
}

func (f *scopeFlags) excluded() (audit.Excluded, error) {
	excluded := f.set
	excluded.OwnNamespace = berthNamespace
	var err error
	excluded.NamespaceSelector, err = parseNamespaceSelector(f.namespaceSelector)
	return excluded, err
}
