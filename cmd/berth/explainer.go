package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/audit"
	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/coverage"
	"berth.dev/berth/manifests"
	"berth.dev/berth/placement"
	"berth.dev/berth/report"
)

// explainer asks the server's own code about one DaemonSet that exists, and looks at its pods.
type explainer struct {
	live     *liveCluster
	excluded audit.Excluded
	node     string // the one that is asked about; empty: all

	ds       *appsv1.DaemonSet
	whole    map[string]any // the DaemonSet as matchConditions see it
	set      manifests.Set
	snapshot *cluster.Snapshot
	space    placement.Namespace
	// noPolicies and noNodes say that these may not be read.
	noPolicies, noNodes bool
	unknowns
}

func (e *explainer) explain(ctx context.Context, name string) (*report.Explanation, error) {
	if err := e.readDaemonSet(ctx, name); err != nil {
		return nil, err
	}
	if err := e.readFacts(ctx); err != nil {
		return nil, err
	}
	said := &report.Explanation{Namespace: e.ds.Namespace, Name: e.ds.Name, Policies: []report.ExplainedPolicy{}, Placement: []report.Written{}}
	if err := e.leftOut(ctx, said); err != nil {
		return nil, err
	}
	said.Placement = e.written(e.policies(ctx, said))
	if err := e.nodes(ctx, said); err != nil {
		return nil, err
	}
	said.Unknown = e.said
	return said, nil
}

// written is everything in the template that decides on nodes, with who wrote it.
func (e *explainer) written(verdicts []placement.Verdict) []report.Written {
	all := []report.Written{}
	for _, w := range placement.Provenance(placement.ObjectOf(e.ds), verdicts) {
		written := report.Written{Field: w.Field, What: w.What, By: report.Berth, Policy: w.Policy, Source: w.Source, Overridden: w.Overridden}
		switch {
		case w.Author:
			written.By = report.Author
		case e.noPolicies:
			written.Source = "from where is not known"
		}
		all = append(all, written)
	}
	return all
}

// readDaemonSet reads it whole: matchConditions may look at any field.
func (e *explainer) readDaemonSet(ctx context.Context, name string) error {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("DaemonSet"))
	err := e.live.Get(ctx, client.ObjectKey{Namespace: e.live.namespace, Name: name}, object)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no DaemonSet %s in namespace %s: name another one with -n", name, e.live.namespace)
	case err != nil:
		return fmt.Errorf("read DaemonSet %s/%s: %w", e.live.namespace, name, err)
	}
	e.ds, e.whole = &appsv1.DaemonSet{}, object.Object
	return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, e.ds)
}

// readFacts reads policies, nodes and the one namespace.
func (e *explainer) readFacts(ctx context.Context) error {
	var err error
	e.set.Policies, err = e.live.policies(ctx)
	e.noPolicies = err != nil
	if err := e.forgive(err, "list placementpolicies", "which policies apply"); err != nil {
		return err
	}
	var namespace corev1.Namespace
	err = e.live.Get(ctx, client.ObjectKey{Name: e.ds.Namespace}, &namespace)
	if err := e.forgive(err, "get namespace "+e.ds.Namespace, "labels and annotations of the namespace, which is taken to have none"); err != nil {
		return err
	}
	namespace.Name = e.ds.Namespace
	e.set.Namespaces = []corev1.Namespace{namespace}
	var nodes corev1.NodeList
	err = e.live.List(ctx, &nodes)
	e.noNodes = err != nil
	if err := e.forgive(err, "list nodes", "on which nodes it should run"); err != nil {
		return err
	}
	for i := range nodes.Items {
		e.set.Nodes = append(e.set.Nodes, &nodes.Items[i])
	}
	e.snapshot = e.set.Snapshot(ctx)
	e.space, _ = e.snapshot.Namespace(e.ds.Namespace)
	return nil
}

// leftOut says why berth is not asked about the DaemonSet, where it is not.
func (e *explainer) leftOut(ctx context.Context, said *report.Explanation) error {
	webhooks, err := e.live.webhooks(ctx)
	if apierrors.IsForbidden(err) && e.excluded.Has(e.ds, e.space) {
		said.LeftOut = []string{"as the flags of the scope say, for which see --help"}
	}
	if err != nil {
		return e.forgive(err, "list mutatingwebhookconfigurations and validatingwebhookconfigurations",
			"whether berth is asked about it: taken from the flags --excluded-namespaces, --excluded-priority-classes and --namespace-selector")
	}
	said.LeftOut = e.leftOutBy(ctx, webhooks)
	return nil
}

// leftOutBy is why none of the webhooks that mutate is asked; empty: one is.
func (e *explainer) leftOutBy(ctx context.Context, webhooks []cluster.Webhook) []string {
	var reasons []string
	asked := false
	for i := range webhooks {
		w := &webhooks[i]
		why, err := w.LeavesOut(ctx, e.space, e.whole)
		if err != nil {
			e.said = append(e.said, "whether the API server asks berth: "+err.Error())
		}
		asked = asked || w.Mutates && why == ""
		if why != "" && w.Mutates {
			reasons = append(reasons, fmt.Sprintf("webhook %s of %s %s leaves it out: %s", w.Name, w.Kind, w.Configuration, why))
		}
	}
	switch {
	case asked:
		return nil
	case len(reasons) == 0:
		return []string{"no MutatingWebhookConfiguration has a webhook mutate.berth.dev: install berth"}
	}
	return reasons
}

// policies says of each what it has to do with the DaemonSet.
func (e *explainer) policies(ctx context.Context, said *report.Explanation) []placement.Verdict {
	object := placement.ObjectOf(e.ds)
	inNamespace, _ := e.snapshot.PoliciesFor(e.ds.Namespace)
	for _, excluded := range slices.Concat(e.snapshot.Policies().Excluded(e.space), inNamespace.Excluded(object, object)) {
		said.Policies = append(said.Policies, report.ExplainedPolicy{Name: excluded.Policy, Reason: string(excluded.Reason)})
	}
	var cost conditions.Cost
	q := cluster.Question{
		Question: *placement.NextTemplateChange(object, nil), Policies: inNamespace,
		Met: func(program *conditions.Program, _ placement.Which) (bool, error) {
			return program.Matches(ctx, cluster.Unchanged(e.space, e.whole), &cost)
		},
	}
	verdicts := e.snapshot.Verdicts(&q)
	for i := range verdicts {
		said.Policies = append(said.Policies, explainedPolicy(&verdicts[i], len(said.LeftOut) > 0))
	}
	slices.SortFunc(said.Policies, func(a, b report.ExplainedPolicy) int { return cmp.Compare(a.Name, b.Name) })
	if len(said.LeftOut) > 0 {
		return nil // what they would require makes no difference
	}
	return verdicts
}

func explainedPolicy(v *placement.Verdict, leftOut bool) report.ExplainedPolicy {
	p := report.ExplainedPolicy{Name: v.Policy, Mode: string(v.Mode), Applies: v.Waits == "" && !leftOut, Reason: string(v.Waits)}
	if leftOut {
		p.Reason = "berth is not asked about the DaemonSet"
		return p
	}
	switch v.Waits {
	case placement.ReasonCondition:
		return p
	case placement.ReasonUpdate: // and the update that is asked about changes the template
		p.Reason = "its updatePolicy CreateOnly does not act on updates"
	default:
	}
	for _, item := range v.Items {
		p.Items = append(p.Items, report.ExplainedItem{
			Field: item.Field, What: item.What, Source: item.Source, Outcome: string(item.Outcome), Other: item.Other,
		})
	}
	for _, violation := range v.Violations {
		p.Violations = append(p.Violations, violation.Error())
	}
	return p
}

// nodes says where the pods are, and why not elsewhere.
func (e *explainer) nodes(ctx context.Context, said *report.Explanation) error {
	if e.noNodes {
		if e.node != "" {
			return fmt.Errorf("nothing can be said of node %s: you lack the right to list nodes", e.node)
		}
		return nil
	}
	facts, err := e.live.factsOf(ctx, e.ds, &e.unknowns)
	if err != nil {
		return err
	}
	if facts == nil {
		return nil
	}
	facts.Nodes = e.set.Nodes
	all := coverage.Live(facts)
	if e.node == "" {
		said.Nodes = &report.ExplainedNodes{Counts: coverage.Count(all), Groups: coverage.Grouped(all)}
		return nil
	}
	i := slices.IndexFunc(all, func(n coverage.Node) bool { return n.Name == e.node })
	if i < 0 {
		return fmt.Errorf("there is no node %s: see kubectl get nodes", e.node)
	}
	said.Node = e.oneNode(&all[i])
	return nil
}

// oneNode adds what the node has of the labels that it is selected by, and how it could be selected.
func (e *explainer) oneNode(n *coverage.Node) *report.ExplainedNode {
	one := &report.ExplainedNode{Node: *n}
	var labels map[string]string
	for _, node := range e.set.Nodes {
		if node.Name == n.Name {
			labels = node.Labels
		}
	}
	for key := range e.ds.Spec.Template.Spec.NodeSelector {
		if value, labelled := labels[key]; labelled {
			if one.Labels == nil {
				one.Labels = map[string]string{}
			}
			one.Labels[key] = value
		}
	}
	one.Command = labelling(n, one.Labels)
	return one
}

// labelling is the command that would let a pod run on a node, where labels are all that is missing, and people set them.
func labelling(n *coverage.Node, have map[string]string) string {
	if n.Why == nil || len(n.Why.Labels) == 0 || n.Why.NodeName != "" || len(n.Why.Terms)+len(n.Why.Taints) > 0 {
		return ""
	}
	for _, label := range n.Why.Labels {
		key, value, _ := strings.Cut(label, "=")
		if _, other := have[key]; other || placement.SetByPeople(map[string]string{key: value}) == nil {
			return ""
		}
	}
	return "kubectl label node " + n.Name + " " + strings.Join(n.Why.Labels, " ")
}
