package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/report"
)

// mapOptions is the flags of berth map.
type mapOptions struct {
	files   []string
	cluster clusterFlags
	scope   scopeFlags

	poolLabels []string
	outputs    []string
}

func newMapCommand() *cobra.Command {
	o := mapOptions{}
	cmd := &cobra.Command{
		Use:   "map",
		Short: "Draw where the pods of all DaemonSets run",
		Long: `Draw where the pods of all DaemonSets run: nodes beside DaemonSets, and for each of
both whether a pod runs there, is on its way, is missing, or should not run there, and
why: who excludes the node, its author or which policy, or which taint.

It reads a cluster, kubectl's own if you name none, and writes nothing; or it reads
files with what kubectl get prints: DaemonSets, nodes, and pods, policies and
namespaces if they are there. Without pods it shows where they would run.

As html it is one file, to look into, to filter, to send and to print, which loads
nothing from anywhere. What you may not read is said, and the rest goes on. It ends
with 0, and with 2 when it could not run.`,
		Example: `  # A look at the cluster
  berth map

  # One file to look into with a browser
  berth map -o html=map.html

  # From files, where no cluster is at hand
  kubectl get daemonsets,nodes,pods,namespaces,placementpolicies -A -o yaml > cluster.yaml
  berth map -f cluster.yaml -o html=map.html -o svg=map.svg`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	addFlagGroups(cmd, o.flagGroups()...)
	return cmd
}

func (o *mapOptions) flagGroups() []flagGroup {
	input := newFlagGroup("Input")
	input.flags.StringArrayVarP(&o.files, "filename", "f", nil, "`file`, folder, or - for standard input, in place of a cluster; may be given more than once")
	o.cluster.addTo(input, "the cluster (default: kubectl's)")
	input.flags.Lookup("namespace").Usage = "only DaemonSets of this `namespace` (default: all)"
	output := newFlagGroup("Output")
	output.flags.StringArrayVarP(&o.outputs, "output", "o", []string{"text"}, "`format`, or format=file: "+strings.Join(report.MapFormats(), ", ")+"; may be given more than once")
	addPoolLabels(output, &o.poolLabels)
	scope := o.scope.group()
	scope.title = "Scope, where the webhook configurations are not known"
	return []flagGroup{input, output, scope}
}

func (o *mapOptions) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	outputs, err := parseOutputs(o.outputs, report.ParseMapOutput)
	if err != nil {
		return err
	}
	excluded, err := o.scope.excluded()
	if err != nil {
		return err
	}
	var facts *mapFacts
	switch {
	case len(o.files) > 0 && o.cluster.named():
		return errors.New("files are named and a cluster: the map is of one or the other, so leave out -f, or --kubeconfig and --context")
	case len(o.files) > 0:
		facts, err = mapOfFiles(o.files, stdin)
	default:
		facts, err = o.ofCluster(ctx)
	}
	if err != nil {
		return err
	}
	m := mapper{facts: facts, excluded: excluded, namespace: o.cluster.namespace, poolLabels: o.poolLabels}
	drawn, err := m.draw(ctx)
	if err != nil {
		return err
	}
	return drawn.Write(outputs, stdout)
}

func (o *mapOptions) ofCluster(ctx context.Context) (*mapFacts, error) {
	live, err := o.cluster.connect()
	if err != nil {
		return nil, err
	}
	name, err := o.cluster.name()
	if err != nil {
		return nil, err
	}
	return mapOfCluster(ctx, live, name)
}
