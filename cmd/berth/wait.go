package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"berth.dev/berth/report"
	"berth.dev/berth/rollout"
)

// How often berth wait looks: at the DaemonSets, and at the pods and nodes of one that is not complete by its counters.
const (
	waitEvery     = time.Second
	waitLookEvery = 15 * time.Second
	// waitTimeout is Deployment's progressDeadlineSeconds.
	waitTimeout = 10 * time.Minute
)

// waitOptions is the flags of berth wait.
type waitOptions struct {
	cluster       clusterFlags
	selector      string
	all           bool
	allNamespaces bool

	allowZero bool
	minNodes  string
	timeout   time.Duration
}

func newWaitCommand() *cobra.Command {
	var o waitOptions
	cmd := &cobra.Command{
		Use:   "wait ds/NAME… | -l SELECTOR | --all",
		Short: "Wait until DaemonSets run on every node that they should run on",
		Long: `Wait until DaemonSets run on every node that they should run on.

A DaemonSet is complete when its controller has seen the last change, and available
pods of the current template are on exactly the nodes that it should run on. One that
should run on no node at all has failed, unless --allow-zero says otherwise: kubectl
rollout status calls 0 of 0 a success.

It ends with 0 when all are complete, with 1 when one has failed or the time is over,
and says of which nodes lack it and why, and with 2 when it could not run.`,
		Example: `  # After helm upgrade, in CI
  berth wait ds/node-exporter -n monitoring --timeout 5m

  # Everything of a release, each on at least half of all nodes
  berth wait -l app.kubernetes.io/instance=my-release -n monitoring --min-nodes 50%

  # Is everything in place at this moment?
  berth wait --all -A --timeout 0`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addFlagGroups(cmd, o.flagGroups()...)
	return cmd
}

func (o *waitOptions) flagGroups() []flagGroup {
	which := newFlagGroup("Which")
	which.flags.StringVarP(&o.selector, "selector", "l", "", "label `selector` of DaemonSets")
	which.flags.BoolVar(&o.all, "all", false, "all DaemonSets of the namespace")
	which.flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "those of all namespaces, with --selector or --all")
	o.cluster.addTo(which, "the cluster (default: kubectl's)")
	demands := newFlagGroup("Demands")
	demands.flags.BoolVar(&o.allowZero, "allow-zero", false, "let a DaemonSet pass that should run on no node")
	demands.flags.StringVar(&o.minNodes, "min-nodes", "", "the least `number` of nodes that each should run on, or a share of all nodes, such as 50%")
	demands.flags.DurationVar(&o.timeout, "timeout", waitTimeout, "how long to wait; 0 looks once")
	return []flagGroup{which, demands}
}

func (o *waitOptions) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	w := rollout.Wait{
		Timeout: o.timeout, Every: waitEvery, LookEvery: waitLookEvery,
		Fatal: func(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) },
	}
	w.AllowZero = o.allowZero
	if o.timeout < 0 {
		return fmt.Errorf("--timeout=%s: must not be negative", o.timeout)
	}
	if o.minNodes != "" {
		var err error
		if w.MinNodes, err = rollout.ParseMinNodes(o.minNodes); err != nil {
			return fmt.Errorf("--min-nodes=%s: %w", o.minNodes, err)
		}
	}
	reader, err := o.reader(args)
	if err != nil {
		return err
	}
	if reader.live, err = o.cluster.connect(); err != nil {
		return err
	}
	w.Reader = reader
	tell := report.NewProgress(stderr, isTerminal(stderr))
	w.Tell = func(p rollout.Progress) { tell.Tell(waited(&p)) }
	all, err := w.Run(ctx)
	tell.End()
	if err != nil {
		return err
	}
	for _, unknown := range reader.said {
		_, _ = fmt.Fprintln(stderr, "Not known:", report.Paragraph(unknown))
	}
	var result error
	said := make([]report.Waited, len(all))
	for i := range all {
		said[i] = waited(&all[i])
		if !said[i].Complete {
			result = errFindings
		}
	}
	if err := report.WriteWait(stdout, said, o.timeout); err != nil {
		return err
	}
	return result
}

// waited is a progress as it is reported.
func waited(p *rollout.Progress) report.Waited {
	return report.Waited{
		Namespace: p.Namespace, Name: p.Name, Reason: p.Reason, Counts: p.Counts, Lacking: p.Lacking,
		Complete: p.Outcome == rollout.Complete, Failed: p.Outcome == rollout.Failed,
	}
}

// reader is what reads the DaemonSets that the arguments and flags name, one way or another.
func (o *waitOptions) reader(args []string) (*waitReader, error) {
	r := &waitReader{allNamespaces: o.allNamespaces, selector: labels.Everything()}
	ways := 0
	for _, named := range []bool{len(args) > 0, o.selector != "", o.all} {
		if named {
			ways++
		}
	}
	switch {
	case ways == 0:
		return nil, errors.New("no DaemonSet is named: say ds/NAME, -l SELECTOR or --all")
	case ways > 1:
		return nil, errors.New("name DaemonSets, or say -l SELECTOR, or --all: one of the three")
	case len(args) > 0 && o.allNamespaces:
		return nil, errors.New("--all-namespaces goes with -l SELECTOR or --all, not with the names of DaemonSets")
	}
	var err error
	switch {
	case len(args) > 0:
		r.names, err = daemonSetNames(args)
	case o.selector != "":
		if r.selector, err = labels.Parse(o.selector); err != nil {
			err = fmt.Errorf("--selector=%s: %w", o.selector, err)
		}
	}
	return r, err
}
