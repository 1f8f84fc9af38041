package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/report"
)

// diffOptions is the flags of berth diff.
type diffOptions struct {
	changes diffChanges

	cluster clusterFlags
	scope   scopeFlags
	user    userFlags

	poolLabels []string
	outputs    []string
}

func newDiffCommand() *cobra.Command {
	o := diffOptions{}
	cmd := &cobra.Command{
		Use:   "diff [-f FILE] [--policies FILE] [--delete POLICY] [--taint NODE:TAINT] [--label NODE:LABEL] ...",
		Short: "Say which pods a change of policies, DaemonSets or nodes would move",
		Long: `Say which pods of DaemonSets a change would move, before anybody makes it: which are
deleted at once, which are made, which run on until they are replaced, and the CPU
and memory that this frees or takes, in all and by node pool. Nothing is written.

A change of nodes acts at once, and on every DaemonSet. A change of policies moves
nothing by itself: berth acts on a DaemonSet when its pod template changes next, or,
with updatePolicy Always, at its next write. What a DaemonSet lacks already, whatever
is changed here, is not shown.

The cluster is that of --kubeconfig or --context, or else kubectl's. What -f has then
is what would be applied to it. Without these flags and with Nodes among -f, what -f
has is the cluster, DaemonSets that exist included, and nobody is asked.

NODE is a node's name, or a label selector such as pool=a. All selectors see the
nodes as they are before --label, --unlabel, --taint and --remove.

It ends with 0 when nothing moves, with 1 when something does, or is denied or warned
of, and with 2 when it could not run.`,
		Example: `  # Which pods does this taint delete?
  berth diff --taint n-1:gpu=true:NoExecute

  # What if the pool loses its label, and one of its nodes goes away?
  berth diff --unlabel pool=a:pool --remove n-7

  # What would this policy do, and what if that one were deleted?
  berth diff --policies new.yaml --delete old -o wide

  # What would kubectl apply -f agents.yaml do?
  berth diff -f agents.yaml --context my-cluster

  # Without a cluster
  kubectl get nodes,namespaces,placementpolicies,daemonsets,limitranges,runtimeclasses -A -o yaml > cluster.yaml
  berth diff -f cluster.yaml --nodes new-nodes.yaml -o table -o markdown=summary.md`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	addFlagGroups(cmd, o.flagGroups()...)
	return cmd
}

func (o *diffOptions) flagGroups() []flagGroup {
	changes := newFlagGroup("What changes")
	changes.flags.StringArrayVar(&o.changes.policies, "policies", nil, "`file` or folder of PlacementPolicies, added or changed; may be given more than once, as all of these")
	changes.flags.StringArrayVar(&o.changes.deleted, "delete", nil, "`name` of a PlacementPolicy that is deleted")
	changes.flags.StringArrayVar(&o.changes.namespaces, "namespaces", nil, "`file` or folder of Namespaces, added or changed")
	changes.flags.StringArrayVar(&o.changes.nodes, "nodes", nil, "`file` or folder of Nodes, added or changed")
	o.changes.edits.addTo(changes)

	input := newFlagGroup("Input")
	input.flags.StringArrayVarP(&o.changes.files, "filename", "f", nil, "`file`, folder, or - for standard input: what is applied or, with Nodes and without a cluster, what is there")
	o.cluster.addTo(input, "the cluster (default: kubectl's, unless -f has Nodes)")
	o.user.addTo(input, "berth-diff")

	output := newFlagGroup("Output")
	output.flags.StringArrayVarP(&o.outputs, "output", "o", []string{"table"}, "`format`, or format=file: "+strings.Join(report.DiffFormats(), ", "))
	addPoolLabels(output, &o.poolLabels)
	return []flagGroup{changes, input, o.scope.group(), output}
}

func (o *diffOptions) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	outputs, err := parseOutputs(o.outputs, report.ParseDiffOutput)
	if err != nil {
		return err
	}
	excluded, err := o.scope.excluded()
	if err != nil {
		return err
	}
	if err := o.changes.edits.parse(); err != nil {
		return err
	}
	input, err := o.read(ctx, stdin)
	if err != nil {
		return err
	}
	d, err := newDiffer(ctx, input, excluded, o.poolLabels)
	if err != nil {
		return err
	}
	d.before.user, d.after.user = o.user.info(), o.user.info()
	found, err := d.diff(ctx, input)
	if err != nil {
		return err
	}
	if err := found.Write(outputs, stdout); err != nil {
		return err
	}
	if found.Moved() {
		return errFindings
	}
	return nil
}

var errNoChange = errors.New("nothing is to change: say what with --policies, --delete, --namespaces, --nodes, --label, --unlabel, --taint or --remove, " +
	"or, where a cluster is asked, with -f")
