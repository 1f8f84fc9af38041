package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"

	"berth.dev/berth/placement"
	"berth.dev/berth/report"
)

// helpWidth is where the text of --help wraps.
const helpWidth = 100

// flagGroup is flags under one heading of --help.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

func newFlagGroup(title string) flagGroup {
	set := pflag.NewFlagSet(title, pflag.ContinueOnError)
	set.SortFlags = false
	return flagGroup{title, set}
}

// addFlagGroups gives the command the flags, and a help that shows them by group.
func addFlagGroups(cmd *cobra.Command, groups ...flagGroup) {
	for _, group := range groups {
		cmd.Flags().AddFlagSet(group.flags)
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(cmd.OutOrStdout(), cmd, groups) })
}

func printHelp(w io.Writer, cmd *cobra.Command, groups []flagGroup) {
	var help strings.Builder
	fmt.Fprintf(&help, "%s\n\nExamples:\n%s\n", cmd.Long, cmd.Example)
	for _, group := range groups {
		fmt.Fprintf(&help, "\n%s:\n%s", group.title, group.flags.FlagUsagesWrapped(helpWidth))
	}
	fmt.Fprintf(&help, "\nUsage:\n  %s\n", cmd.UseLine())
	_, _ = io.WriteString(w, help.String())
}

// userFlags say who writes, to a command that only asks.
type userFlags struct {
	name   string
	groups []string
}

func (f *userFlags) addTo(group flagGroup, name string) {
	group.flags.StringVar(&f.name, "as", name, "`user` that matchConditions see as the one who writes")
	group.flags.StringArrayVar(&f.groups, "as-group", nil, "`group` of that user, beside system:authenticated; may be given more than once")
}

// info is what the API server would say of the user.
func (f *userFlags) info() authenticationv1.UserInfo {
	return authenticationv1.UserInfo{Username: f.name, Groups: append(slices.Clone(f.groups), "system:authenticated")}
}

// addPoolLabels adds the flag that says what a pool of nodes is.
func addPoolLabels(group flagGroup, keys *[]string) {
	group.flags.StringSliceVar(keys, "pool-label", placement.PoolLabels(), "`keys` of the labels that name a node's pool: the first that it has counts")
}

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	choices []string
}

func (c *choice) String() string { return c.value }

// Type is what --help shows in place of the value.
func (c *choice) Type() string { return "string" }

// Set implements pflag.Value.
func (c *choice) Set(value string) error {
	if !slices.Contains(c.choices, value) {
		return errors.New("must be " + strings.Join(c.choices, " or "))
	}
	c.value = value
	return nil
}

// parseOutputs reads all that --output says. No two may go into one file.
func parseOutputs(texts []string, parse func(string) (report.Output, error)) (outputs []report.Output, err error) {
	for _, text := range texts {
		output, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("--output=%s: %w", text, err)
		}
		if slices.ContainsFunc(outputs, func(o report.Output) bool {
			return o.File != "" && filepath.Clean(o.File) == filepath.Clean(output.File)
		}) {
			return nil, fmt.Errorf("--output=%s: another output goes into this file", text)
		}
		outputs = append(outputs, output)
	}
	return outputs, nil
}

// onlyFlags takes no arguments, and tells who forgot the flag of a file.
func onlyFlags(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s: files are named with -f", args[0])
	}
	return nil
}

// tlsVersions are the names that Kubernetes components use.
var tlsVersions = map[string]uint16{
	"VersionTLS12": tls.VersionTLS12,
	"VersionTLS13": tls.VersionTLS13,
}
