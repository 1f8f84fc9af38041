package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/report"
)

// explainOptions is the flags of berth explain.
type explainOptions struct {
	cluster clusterFlags
	scope   scopeFlags
	node    string
	output  string
}

func newExplainCommand() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain ds/NAME",
		Short: "Say why a DaemonSet's pods run where they run",
		Long: `Say why a DaemonSet's pods run where they run, and why not elsewhere.

It reads a cluster and writes nothing: which policies apply and what each
contributes, why the others do not, who wrote each label, expression and toleration
of the pod template, and for every node whether a pod runs there, should and does
not, or should not, each with the reason.

With --node it says in sentences all that there is to say of one node.

What you may not read is said, and the rest goes on. It ends with 0, and with 2 when
it could not run.`,
		Example: `  # Why does it run there?
  berth explain ds/node-exporter -n monitoring

  # Why not on this node?
  berth explain ds/node-exporter -n monitoring --node worker-7

  # For a program
  berth explain ds/node-exporter -n monitoring -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), args, cmd.OutOrStdout())
		},
	}
	addFlagGroups(cmd, o.flagGroups()...)
	return cmd
}

func (o *explainOptions) flagGroups() []flagGroup {
	input := newFlagGroup("Input")
	o.cluster.addTo(input, "the cluster (default: kubectl's)")
	input.flags.StringVar(&o.node, "node", "", "the one `node` to say everything about")
	output := newFlagGroup("Output")
	output.flags.StringVarP(&o.output, "output", "o", "table", "`format`, or format=file: "+strings.Join(report.ExplanationFormats(), ", "))
	scope := o.scope.group()
	scope.title = "Scope, where the webhook configurations may not be read"
	return []flagGroup{input, output, scope}
}

func (o *explainOptions) run(ctx context.Context, args []string, stdout io.Writer) error {
	names, err := daemonSetNames(args)
	if err != nil {
		return err
	}
	if len(names) > 1 {
		return fmt.Errorf("%d DaemonSets are named: one at a time can be explained", len(names))
	}
	output, err := report.ParseExplanationOutput(o.output)
	if err != nil {
		return fmt.Errorf("--output=%s: %w", o.output, err)
	}
	excluded, err := o.scope.excluded()
	if err != nil {
		return err
	}
	live, err := o.cluster.connect()
	if err != nil {
		return err
	}
	e := explainer{live: live, excluded: excluded, node: o.node}
	explanation, err := e.explain(ctx, names[0])
	if err != nil {
		return err
	}
	return explanation.Write(output, stdout)
}
