package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"berth.dev/berth/cluster"
	"berth.dev/berth/manifests"
)

// diffChanges is what the flags of berth diff say is changed.
type diffChanges struct {
	files []string
	factFiles
	deleted []string // policies
	edits   nodeFlags
}

// diffInput is what is there, and what is changed.
type diffInput struct {
	// before and after are the facts.
	before, after *manifests.Set
	changes       *manifests.Set
	// policiesChange says that the policies for some namespace may be others.
	policiesChange bool
	daemonSets     []diffed
	assumed        []string
}

// diffed is one DaemonSet.
type diffed struct {
	stored  *daemonSetVersion    // nil: there is none
	applied *manifests.DaemonSet // nil: it stays as it is stored
	// alsoOn names nodes with pods that no longer belong there.
	alsoOn []string
}

// read reads all files, and the cluster where these are not one.
func (o *diffOptions) read(ctx context.Context, stdin io.Reader) (*diffInput, error) {
	var files, changes manifests.Set
	if err := readPaths(&files, stdin, o.changes.files); err != nil {
		return nil, err
	}
	if err := o.changes.read(&changes, stdin); err != nil {
		return nil, err
	}
	offline := !o.cluster.named() && len(files.Nodes) > 0
	input := &diffInput{before: &files, changes: &changes}
	if !offline {
		input.before, input.changes = &manifests.Set{}, changes.Over(&files)
	}
	if err := o.changes.check(input.changes); err != nil {
		return nil, err
	}
	if offline {
		if len(changes.DaemonSets) > 0 {
			return nil, fmt.Errorf("%s: without a cluster nothing is applied: leave the DaemonSet out of --policies, --namespaces and --nodes, or ask a cluster with --context", changes.DaemonSets[0].Field(""))
		}
		if err := input.addStored(cmp.Or(o.cluster.namespace, metav1.NamespaceDefault)); err != nil {
			return nil, err
		}
		err := input.change(&o.changes)
		input.assumePods("without a cluster")
		return input, err
	}
	return input, o.readCluster(ctx, input)
}

// readCluster reads the facts and the DaemonSets of a cluster.
func (o *diffOptions) readCluster(ctx context.Context, input *diffInput) error {
	live, err := o.cluster.connect()
	if err != nil && !o.cluster.named() {
		return fmt.Errorf("no Nodes are among -f, so a cluster has to be asked, and there is none: add what kubectl get nodes -o yaml prints, or name a cluster with --context: %w", err)
	} else if err != nil {
		return err
	}
	if err := live.addFacts(ctx, input.before); err != nil {
		return err
	}
	var unknown unknowns
	if err := live.addPodDefaults(ctx, input.before, &unknown); err != nil {
		return err
	}
	for _, said := range unknown.said {
		input.assumed = append(input.assumed, "not known: "+said)
	}
	if err := input.change(&o.changes); err != nil {
		return err
	}
	return input.addLive(ctx, live)
}

func readPaths(set *manifests.Set, stdin io.Reader, paths []string) error {
	for _, path := range paths {
		if err := set.ReadPath(path, stdin); err != nil {
			return err
		}
	}
	return nil
}

// factFiles is what the flags --policies, --namespaces and --nodes name.
type factFiles struct{ policies, namespaces, nodes []string }

// read reads them. A path with none of its kind is a wrong one.
func (f *factFiles) read(set *manifests.Set, stdin io.Reader) error {
	for _, facts := range []struct {
		flag, kind string
		paths      []string
		read       func() int
	}{
		{"policies", "PlacementPolicy", f.policies, func() int { return len(set.Policies) }},
		{"namespaces", "Namespace", f.namespaces, func() int { return len(set.Namespaces) }},
		{"nodes", "Node", f.nodes, func() int { return len(set.Nodes) }},
	} {
		for _, path := range facts.paths {
			problems := len(set.Problems)
			if err := set.ReadPath(path, stdin); err != nil {
				return err
			}
			if facts.read() == 0 && len(set.Problems) == problems {
				return fmt.Errorf("--%s=%s: no %s is in it", facts.flag, path, facts.kind)
			}
		}
	}
	return nil
}

// check says what is wrong with the changes, as far as that can be said without the facts.
func (c *diffChanges) check(changes *manifests.Set) error {
	if len(changes.Problems) > 0 {
		return problemError(&changes.Problems[0])
	}
	objects := len(changes.Policies) + len(changes.Namespaces) + len(changes.Nodes) + len(changes.DaemonSets)
	switch {
	case objects+len(c.deleted)+len(c.edits.all) > 0:
		return nil
	case changes.Others > 0:
		return fmt.Errorf("no PlacementPolicy, Namespace, Node or DaemonSet is in the files that say what changes (objects of other kinds: %d)", changes.Others)
	}
	return errNoChange
}

// malformed says what in files that are a cluster cannot be of one; nil: nothing.
func malformed(set *manifests.Set) error {
	for i := range set.Problems {
		if set.Problems[i].Rule == manifests.RuleMalformed {
			return problemError(&set.Problems[i])
		}
	}
	return nil
}

func problemError(p *manifests.Problem) error {
	return fmt.Errorf("%s: %s: %s", p.Place, p.Object, strings.Join(strings.Fields(p.Message), " "))
}

// change makes what is after of what is before.
func (i *diffInput) change(c *diffChanges) error {
	i.after = i.changes.Over(i.before)
	i.after.Problems = nil
	for _, name := range c.deleted {
		at := slices.IndexFunc(i.after.Policies, func(p manifests.Policy) bool { return p.Object.Name == name })
		if at < 0 {
			return fmt.Errorf("--delete=%s: there is no PlacementPolicy of this name: kubectl get placementpolicies lists them", name)
		}
		i.after.Policies = slices.Delete(i.after.Policies, at, at+1)
	}
	i.policiesChange = len(i.changes.Policies)+len(i.changes.Namespaces)+len(c.deleted) > 0
	var err error
	i.after.Nodes, err = c.edits.apply(i.after.Nodes)
	return err
}

// taintedBefore returns the nodes that have a taint already, of those that change or of all: pods that were there before it may
// still be there. The controller does not count them (numberMisscheduled) until something else moves.
func (i *diffInput) taintedBefore(all bool) (names []string) {
	after := map[string]*corev1.Node{}
	for _, node := range i.after.Nodes {
		after[node.Name] = node
	}
	for _, node := range i.before.Nodes {
		if (all || after[node.Name] != node) && len(cluster.BlockingTaints(node.Spec.Taints)) > 0 {
			names = append(names, node.Name)
		}
	}
	return names
}

// assumePods says for want of what it is not known which pods are on tainted nodes.
func (i *diffInput) assumePods(want string) {
	if nodes := i.taintedBefore(false); len(nodes) > 0 {
		i.assumed = append(i.assumed, fmt.Sprintf("%d of the nodes that change had a taint before, the first is %s: %s it is not known which pods have stayed there, and they are not shown",
			len(nodes), nodes[0], want))
	}
}

// addStored takes the DaemonSets in files for those that exist.
func (i *diffInput) addStored(namespace string) error {
	if err := malformed(i.before); err != nil {
		return err
	}
	for n := range i.before.DaemonSets {
		ds := &i.before.DaemonSets[n]
		raw, err := inNamespace(cmp.Or(ds.Object.Namespace, namespace), ds.JSON)
		if err != nil {
			return fmt.Errorf("%s: %w", ds.Field(""), err)
		}
		stored, err := newDaemonSetVersion(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", ds.Field(""), err)
		}
		i.daemonSets = append(i.daemonSets, diffed{stored: stored})
	}
	if len(i.daemonSets) == 0 {
		return errors.New("no DaemonSet is among -f, which has Nodes and so is the cluster: add kubectl get daemonsets -A -o yaml, or ask a cluster with --context")
	}
	return nil
}

// addLive adds the DaemonSets of a cluster, and those that would be applied to it.
func (i *diffInput) addLive(ctx context.Context, live *liveCluster) error {
	applied := map[string]*manifests.DaemonSet{}
	for n := range i.changes.DaemonSets {
		ds := &i.changes.DaemonSets[n]
		ds.Object.Namespace = cmp.Or(ds.Object.Namespace, live.namespace)
		if ds.Object.Name == "" {
			i.daemonSets = append(i.daemonSets, diffed{applied: ds}) // the API server makes the name
			continue
		}
		applied[ds.Object.Namespace+"/"+ds.Object.Name] = ds
	}
	versions, err := live.daemonSets(ctx)
	if err != nil {
		return err
	}
	on, err := live.daemonPods(ctx, i.taintedBefore(i.policiesChange || len(i.changes.DaemonSets) > 0))
	if apierrors.IsForbidden(err) {
		i.assumePods("without the right to list pods")
	} else if err != nil {
		return err
	}
	for _, stored := range versions {
		d := diffed{stored: stored, applied: applied[stored.key()], alsoOn: on[stored.object.UID]}
		delete(applied, stored.key())
		i.daemonSets = append(i.daemonSets, d)
	}
	for _, ds := range applied {
		i.daemonSets = append(i.daemonSets, diffed{applied: ds})
	}
	return nil
}
