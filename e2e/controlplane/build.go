package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// binary is one program of the control plane, with the time that a cold build of it took on 2 cores.
type binary struct {
	name, pkg string
	usual     time.Duration
}

// module is the folder whose go.mod pins the program: Kubernetes' own are of the version that was asked for, the others of
// one version always.
func (b binary) module(kubernetes string) string {
	if strings.HasPrefix(b.pkg, "k8s.io/kubernetes/") {
		return kubernetes
	}
	return "."
}

// The order is that of the shared packages: each build finds most of its own already compiled by those before it.
var binaries = []binary{
	{"etcd", "go.etcd.io/etcd/server/v3", 20 * time.Second},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", 210 * time.Second},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", 60 * time.Second},
	{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", 10 * time.Second},
	{"kubectl", "k8s.io/kubernetes/cmd/kubectl", 40 * time.Second},
	{"kwok", "sigs.k8s.io/kwok/cmd/kwok", 15 * time.Second},
}

// buildMissing builds into folder what is neither there nor in the user's assets.
func buildMissing(ctx context.Context, folder string, assets map[string]string, pins pins) error {
	var missing []binary
	var usual time.Duration
	for _, b := range binaries {
		if assets[b.name] == "" && !exists(filepath.Join(folder, b.name)) {
			missing = append(missing, b)
			usual += b.usual
		}
	}
	if len(missing) == 0 {
		return nil
	}
	out := newProgress(os.Stderr)
	out.printf("Building a Kubernetes %s control plane into %s\n", pins.kubernetes, folder)
	out.printf("This happens once. On 2 cores it takes about %s, and the source has to be downloaded first.\n", minutes(usual))
	start := time.Now()
	for i, b := range missing {
		step := fmt.Sprintf("  %d of %d  %-24s", i+1, len(missing), b.name)
		done := out.begin(step, b.usual)
		err := build(ctx, b, folder, pins)
		done(err)
		if err != nil {
			return err
		}
	}
	out.printf("Built in %s.\n", minutes(time.Since(start)))
	return nil
}

// build compiles under a temporary name and renames: a file with the final name is always whole.
func build(ctx context.Context, b binary, folder string, pins pins) error {
	partial := filepath.Join(folder, "."+b.name+".partial")
	defer os.Remove(partial)
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", pins.ldflags(), "-o", partial, b.pkg)
	cmd.Dir = b.module(pins.module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
	cmd.Stdout, cmd.Stderr = &output, &output
	// Interrupt first: go build then removes its own temporary files.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("stopped while building %s; the next run goes on from here", b.name)
		}
		return fmt.Errorf("go build %s: %w\n%s", b.pkg, err, lastLines(output.Bytes(), 20))
	}
	return os.Rename(partial, filepath.Join(folder, b.name))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func lastLines(text []byte, n int) []byte {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n):], []byte("\n"))
}
