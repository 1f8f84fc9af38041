package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"berth.dev/berth/manifests"
	"berth.dev/berth/report"
)

// checkOptions is the flags of berth check.
type checkOptions struct {
	files []string
	facts factFiles

	cluster clusterFlags
	scope   scopeFlags
	user    userFlags

	outputs []string
	failOn  choice
}

func newCheckCommand() *cobra.Command {
	o := checkOptions{failOn: choice{value: "error", choices: []string{"error", "warning", "never"}}}
	cmd := &cobra.Command{
		Use:   "check -f FILE|FOLDER|-",
		Short: "Say what berth would do to the DaemonSets in files",
		Long: `Say what berth would do to the DaemonSets in files, before anybody applies them.

It reads YAML and JSON: manifests, lists, what helm template and kustomize build
print, and what kubectl get prints with -o yaml. Each DaemonSet is put before the
server's own code as if it were created: the answer, what berth would add, and the
nodes that its pods would run on. Policies, namespaces and nodes may be among the
files, or be named apart.

With --kubeconfig or --context they are those of a cluster, and a DaemonSet that is
there is checked as the update that kubectl apply would make. Nothing is written.
Without, no cluster is asked.

It ends with 0 when there is nothing to mend, with 1 when there is, and with 2 when
it could not run.`,
		Example: `  # What does this chart get from our policies?
  helm template my-release my-chart | berth check -f - --policies policies/

  # On the nodes of a cluster, as they were when somebody wrote them down
  kubectl get nodes,namespaces,placementpolicies -o yaml > cluster.yaml
  berth check -f manifests/ -f cluster.yaml -o wide

  # What would kubectl apply -f manifests/ do to my cluster?
  berth check -f manifests/ --context my-cluster

  # In CI: a table in the log, and a file for code scanning
  berth check -f manifests/ -f cluster.yaml -o table -o sarif=berth.sarif`,
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	addFlagGroups(cmd, o.flagGroups()...)
	return cmd
}

func (o *checkOptions) flagGroups() []flagGroup {
	input := newFlagGroup("Input")
	input.flags.StringArrayVarP(&o.files, "filename", "f", nil, "`file`, folder, or - for standard input; may be given more than once")
	input.flags.StringArrayVar(&o.facts.policies, "policies", nil, "`file` or folder of PlacementPolicies")
	input.flags.StringArrayVar(&o.facts.namespaces, "namespaces", nil, "`file` or folder of Namespaces")
	input.flags.StringArrayVar(&o.facts.nodes, "nodes", nil, "`file` or folder of Nodes")
	o.cluster.addTo(input, "a cluster whose policies, namespaces, nodes and stored DaemonSets count (default: no cluster is asked)")
	o.user.addTo(input, "berth-check")

	output := newFlagGroup("Output")
	output.flags.StringArrayVarP(&o.outputs, "output", "o", []string{"table"}, "`format`, or format=file: "+strings.Join(report.Formats(), ", ")+"; may be given more than once")
	output.flags.Var(&o.failOn, "fail-on", "the least `severity` that ends with 1: error, warning or never")
	return []flagGroup{input, o.scope.group(), output}
}

var errFindings = errors.New("there is something to mend")

func (o *checkOptions) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	outputs, err := parseOutputs(o.outputs, report.ParseOutput)
	if err != nil {
		return err
	}
	excluded, err := o.scope.excluded()
	if err != nil {
		return err
	}
	set, err := o.read(stdin)
	if err != nil {
		return err
	}
	c := newChecker(set, excluded)
	c.user, c.namespace = o.user.info(), o.cluster.namespace
	if o.cluster.named() { // offline means offline
		if c.live, err = o.cluster.connect(); err != nil {
			return err
		}
		c.namespace = c.live.namespace
		if err := c.live.addFacts(ctx, set); err != nil {
			return err
		}
	}
	found, err := c.check(ctx)
	if err != nil {
		return err
	}
	if err := found.Write(outputs, stdout); err != nil {
		return err
	}
	if found.Fails(o.failOn.value) {
		return errFindings
	}
	return nil
}

// read reads all files.
func (o *checkOptions) read(stdin io.Reader) (*manifests.Set, error) {
	if len(o.files) == 0 {
		return nil, errors.New("no DaemonSets to check: name a file or a folder with -f, or pipe manifests into -f -")
	}
	var set manifests.Set
	if err := readPaths(&set, stdin, o.files); err != nil {
		return nil, err
	}
	if err := o.facts.read(&set, stdin); err != nil {
		return nil, err
	}
	if len(set.DaemonSets)+len(set.Policies)+len(set.Problems) == 0 {
		return nil, fmt.Errorf("no DaemonSet and no PlacementPolicy is in %s (objects of other kinds: %d)", strings.Join(o.files, ", "), set.Others)
	}
	return &set, nil
}
