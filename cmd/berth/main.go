// Command berth gives every DaemonSet its berth: the nodes that carry its
// label. It is the admission webhook server and the command line in one binary,
// so that the two cannot disagree.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"berth.dev/berth/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := newCommand().ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errFindings) { // these are said already
			writeError(os.Stderr, err)
		}
		os.Exit(exitCode(err))
	}
}

// writeError says why a command could not run. What it names, such as a file, may be called whatever its author likes.
func writeError(w io.Writer, err error) {
	_, _ = fmt.Fprintln(w, "error:", report.Paragraph(err.Error()))
}

// exitCode is 1 for what a check has found, and 2 where a command could not run.
func exitCode(err error) int {
	if errors.Is(err, errFindings) {
		return 1
	}
	return 2
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "berth",
		Short: "berth gives every DaemonSet its berth: the nodes that carry its label",
		Long: `berth gives every DaemonSet its berth: the nodes that carry its label.

It is a Kubernetes admission webhook server. PlacementPolicies say which
DaemonSets run on which nodes; berth writes the node labels that they require
into the pod template, and rejects DaemonSets that cannot have them.`,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nSee '%s --help' for usage", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newCheckCommand(), newDiffCommand(), newExplainCommand(), newWaitCommand(), newMapCommand(), newDoctorCommand(), newServeCommand(), newEnforceCommand(), newVersionCommand())
	return root
}
