package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"berth.dev/berth/doctor"
	"berth.dev/berth/report"
)

// doctorOptions is the flags of berth doctor.
type doctorOptions struct {
	cluster clusterFlags
	doctor  doctor.Options
	only    []string
	wait    time.Duration
	output  choice
}

func newDoctorCommand() *cobra.Command {
	o := doctorOptions{output: choice{value: "text", choices: []string{"text", "yaml", "json"}}}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with an installation of berth, and what to do",
		Long: `Say what is wrong with an installation of berth, and what to do.

It asks the API server, which asks berth: whether the webhooks answer is seen by
a dry run, in a namespace that they cover. Nothing is written. What you may not
read it says, and looks at the rest.

It ends with 0 when there is nothing to mend, with 1 when there is, and with 2 when
it could not run.`,
		Example: `  # After an installation or an upgrade
  berth doctor --wait 2m

  # Does the API server reach berth?
  berth doctor --only webhooks,certificates`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	input := newFlagGroup("Cluster")
	o.cluster.addConnection(input, "the cluster (default: kubectl's)")
	input.flags.StringVar(&o.doctor.Namespace, "berth-namespace", berthNamespace, "`namespace` in which berth is installed")
	input.flags.StringVar(&o.doctor.ProbeNamespace, "probe-namespace", "", "`namespace` of the dry runs (default: one that the webhooks cover)")
	sections := newFlagGroup("Sections")
	sections.flags.StringSliceVar(&o.only, "only", nil, "`sections` to look at: "+strings.Join(doctor.SectionNames(), ", ")+" (default: all)")
	sections.flags.DurationVar(&o.wait, "wait", 0, "for how `long` to look again while something is wrong")
	sections.flags.VarP(&o.output, "output", "o", "`format`: text, yaml or json")
	addFlagGroups(cmd, input, sections)
	return cmd
}

// lookAgainEvery is how often doctor --wait looks.
const lookAgainEvery = 2 * time.Second

func (o *doctorOptions) run(ctx context.Context, stdout io.Writer) error {
	config, _, err := o.cluster.config()
	if err != nil {
		return err
	}
	var diagnosis *doctor.Diagnosis
	for deadline := time.Now().Add(o.wait); ; {
		c, err := doctor.NewCluster(ctx, config, o.doctor)
		if err != nil {
			return err
		}
		if err := c.Answers(); err != nil {
			return explain(err)
		}
		if diagnosis, err = doctor.Examine(ctx, c, o.only...); err != nil {
			return fmt.Errorf("--only: %w", err)
		}
		if diagnosis.Healthy() || time.Now().Add(lookAgainEvery).After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgainEvery):
		}
	}
	if err := report.WriteDiagnosis(stdout, o.output.value, diagnosis); err != nil {
		return fmt.Errorf("write the diagnosis: %w", err)
	}
	if !diagnosis.Healthy() {
		return errFindings
	}
	return nil
}
