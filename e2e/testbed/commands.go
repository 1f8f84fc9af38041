package testbed

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Kubectl runs the control plane's own kubectl as the administrator, in the repository's folder.
func (cp *ControlPlane) Kubectl(ctx context.Context, stdin string, args ...string) (stdout, stderr string, err error) {
	return cp.Run(ctx, stdin, filepath.Join(cp.Bin, "kubectl"), args...)
}

// Helm runs the helm that tools/go.mod names, as the administrator, in the repository's folder.
func (cp *ControlPlane) Helm(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	helm, err := cp.HelmPath(ctx)
	if err != nil {
		return "", "", err
	}
	return cp.Run(ctx, "", helm, args...)
}

// HelmPath is the program that Helm runs. Its folder holds no other.
func (cp *ControlPlane) HelmPath(ctx context.Context) (string, error) { return buildHelm(ctx, cp.root) }

// BuildHelm builds what Helm runs, so that it needs no network.
func BuildHelm(ctx context.Context) error {
	root, err := repository()
	if err != nil {
		return err
	}
	_, err = buildHelm(ctx, root)
	return err
}

// buildHelm returns the path of helm in Go's build cache, and puts it there when it is not.
func buildHelm(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "-modfile=tools/go.mod", "helm")
	cmd.Dir = root
	var errs bytes.Buffer
	cmd.Stderr = &errs
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build helm: %w\n%s", err, errs.Bytes())
	}
	return strings.TrimSpace(string(path)), nil
}

// Run runs a program as the administrator, in the repository's folder.
func (cp *ControlPlane) Run(ctx context.Context, stdin, program string, args ...string) (stdout, stderr string, err error) {
	// See Process.Start: the thread has to outlive the program.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = cp.root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cp.Kubeconfig, "HOME="+cp.dir, "KUBECACHEDIR="+cp.path("kubectl-cache"))
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	name := filepath.Base(program)
	release, err := startTied(cmd)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name, err)
	}
	err = cmd.Wait()
	release()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, errs.Bytes())
	}
	return out.String(), errs.String(), err
}
