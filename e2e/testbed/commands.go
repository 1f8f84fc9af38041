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
	"sync"
)

// Kubectl runs the control plane's own kubectl as the administrator, in the repository's folder.
func (cp *ControlPlane) Kubectl(ctx context.Context, stdin string, args ...string) (stdout, stderr string, err error) {
	return cp.Run(ctx, stdin, filepath.Join(cp.Bin, "kubectl"), args...)
}

// Helm runs the helm that tools/go.mod names, as the administrator, in the repository's folder.
func (cp *ControlPlane) Helm(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	helm, err := HelmPath()
	if err != nil {
		return "", "", err
	}
	return cp.Run(ctx, "", helm, args...)
}

// HelmPath is the program that Helm runs, in Go's build cache, built when it is not there. Its folder holds no other.
// Later calls need neither network nor time.
var HelmPath = sync.OnceValues(func() (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	path, err := goIn(context.Background(), root, "tool", "-n", "-modfile=tools/go.mod", "helm")
	if err != nil {
		return "", fmt.Errorf("build helm: %w", err)
	}
	return path, nil
})

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
