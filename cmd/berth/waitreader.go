package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/coverage"
)

// waitReader reads the DaemonSets to wait for, their pods, and the nodes. It implements rollout.Reader.
type waitReader struct {
	live          *liveCluster
	names         []string // nil: by selector
	selector      labels.Selector
	allNamespaces bool
	found         bool // that there are any
	unknowns
}

// DaemonSets implements rollout.Reader. Once they have been found, one that is gone is left out.
func (r *waitReader) DaemonSets(ctx context.Context) ([]appsv1.DaemonSet, error) {
	list, err := r.list(ctx)
	switch {
	case err != nil:
		return nil, err
	case r.found:
		return list, nil
	}
	for _, name := range r.names {
		if !slices.ContainsFunc(list, func(ds appsv1.DaemonSet) bool { return ds.Name == name }) {
			return nil, r.noSuch(name)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("no DaemonSet is selected: see kubectl get daemonsets -A --show-labels")
	}
	r.found = true
	return list, nil
}

func (r *waitReader) noSuch(name string) error {
	return fmt.Errorf("there is no DaemonSet %s in namespace %s: name another one with -n", name, r.live.namespace)
}

func (r *waitReader) list(ctx context.Context) ([]appsv1.DaemonSet, error) {
	if len(r.names) == 1 {
		var one appsv1.DaemonSet
		err := r.live.Get(ctx, client.ObjectKey{Namespace: r.live.namespace, Name: r.names[0]}, &one)
		if apierrors.IsNotFound(err) {
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("read DaemonSet %s/%s: %w", r.live.namespace, r.names[0], err)
		}
		return []appsv1.DaemonSet{one}, nil
	}
	options := []client.ListOption{client.MatchingLabelsSelector{Selector: r.selector}}
	if !r.allNamespaces {
		options = append(options, client.InNamespace(r.live.namespace))
	}
	var list appsv1.DaemonSetList
	if err := r.live.List(ctx, &list, options...); err != nil {
		return nil, fmt.Errorf("list DaemonSets: %w", err)
	}
	if r.names == nil {
		return list.Items, nil
	}
	return slices.DeleteFunc(list.Items, func(ds appsv1.DaemonSet) bool { return !slices.Contains(r.names, ds.Name) }), nil
}

// Live implements rollout.Reader.
func (r *waitReader) Live(ctx context.Context, daemonSets []*appsv1.DaemonSet) ([][]coverage.Node, error) {
	var list corev1.NodeList
	if err := r.live.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	nodes := make([]*corev1.Node, len(list.Items))
	for i := range list.Items {
		nodes[i] = &list.Items[i]
	}
	live := make([][]coverage.Node, len(daemonSets))
	for i, ds := range daemonSets {
		facts, err := r.live.factsOf(ctx, ds, &r.unknowns)
		if err != nil {
			return nil, err
		}
		if facts == nil {
			return nil, fmt.Errorf("cannot wait, for nobody knows %s", r.said[len(r.said)-1])
		}
		facts.Nodes = nodes
		live[i] = coverage.Live(facts)
	}
	return live, nil
}

// isTerminal says whether somebody looks at what is written, rather than a file or a CI system.
func isTerminal(w io.Writer) bool {
	file, isFile := w.(*os.File)
	if !isFile {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
