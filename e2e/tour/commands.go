package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func (t *tour) taintWhatIf(ctx context.Context) error {
	heading("What would a taint on n-2 do? Nothing is written.")
	return t.run(ctx, 1, "diff", "--taint", "n-2:maintenance:NoExecute")
}

func (t *tour) explainNode(ctx context.Context) error {
	heading("Why is there no pod on n-1?")
	return t.run(ctx, 0, "explain", "ds/"+daemonSet, "-n", t.namespace, "--node", "n-1")
}

func (t *tour) checkBefore(ctx context.Context) error {
	heading("Two more DaemonSets. What would become of them, before anybody applies them?")
	return t.run(ctx, 1, "check", "-n", t.namespace, "-f", malformed, "-f", elsewhere)
}

func (t *tour) drawMap(ctx context.Context) error {
	heading("Where everything runs, in one picture.")
	if err := t.run(ctx, 0, "map", "-o", "text", "-o", "html="+t.mapFile()); err != nil {
		return err
	}
	printText("\nThe same as a page: " + t.mapFile())
	return nil
}

func (t *tour) mapFile() string { return filepath.Join(t.cp.Dir(), "map.html") }

// run shows a command of berth and what it said. It has to end with the code.
func (t *tour) run(ctx context.Context, code int, args ...string) error {
	prompt("berth", append(slices.Clone(args), "--kubeconfig", "$KUBECONFIG"))
	stdout, stderr, err := t.cp.Run(ctx, "", t.berth.Binary, append(args, "--kubeconfig", t.cp.Kubeconfig)...)
	printText(strings.TrimSpace(stderr + stdout))
	ended := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		ended = exit.ExitCode()
	} else if err != nil {
		return err
	}
	if ended != code {
		return fmt.Errorf("berth %s ended with %d, and not with %d", args[0], ended, code)
	}
	return nil
}
