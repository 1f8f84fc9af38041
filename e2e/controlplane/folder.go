package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stages is the file that tells KWOK how its nodes and pods behave: they are ready at once.
const stages = "kwok-stages.yaml"

// lock makes the folder and holds it for this process: a second run waits for the first, then finds its binaries.
// The kernel lets go of the lock when the process ends, however it ends.
func lock(ctx context.Context, folder string) (unlock func(), err error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(folder, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	told := false
	for {
		// Asking again and again, because a wait inside the kernel could not be interrupted.
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		if !told {
			fmt.Fprintln(os.Stderr, "Another run is building the control plane: waiting for it.")
			told = true
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, errors.New("stopped while waiting for another run to build the control plane")
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// writeStages puts the stages of the KWOK module beside the binary, as one file.
func writeStages(ctx context.Context, folder string) error {
	target := filepath.Join(folder, stages)
	if exists(target) {
		return nil
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok")
	list.Stderr = os.Stderr
	dir, err := list.Output()
	if err != nil {
		return fmt.Errorf("find the KWOK module: %w", err)
	}
	var all bytes.Buffer
	for _, name := range []string{"node/fast/node-initialize", "pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete"} {
		stage, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "kustomize", "stage", name+".yaml"))
		if err != nil {
			return fmt.Errorf("read KWOK's stage %s: %w", name, err)
		}
		fmt.Fprintf(&all, "%s\n---\n", bytes.TrimSpace(stage))
	}
	partial := target + ".partial"
	if err := os.WriteFile(partial, all.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(partial, target)
}

// assetsFrom finds the programs that KUBEBUILDER_ASSETS brings; they are used in place of ours.
func assetsFrom(dir string) map[string]string {
	assets := map[string]string{}
	if dir == "" {
		return assets
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if path := filepath.Join(dir, name); exists(path) {
			assets[name] = path
		}
	}
	return assets
}

// linkAssets makes a folder in which the user's programs stand beside ours, so that callers see one folder either way.
func linkAssets(root, built string, assets map[string]string) (string, error) {
	sum := sha256.Sum256(fmt.Append(nil, assets))
	mixed := filepath.Join(root, fmt.Sprintf("%s-assets-%x", filepath.Base(built), sum[:6]))
	if err := os.MkdirAll(mixed, 0o750); err != nil {
		return "", err
	}
	want := map[string]string{stages: filepath.Join(built, stages)}
	for _, b := range binaries {
		want[b.name] = filepath.Join(built, b.name)
	}
	for name, path := range assets {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		want[name] = absolute
	}
	for name, path := range want {
		link := filepath.Join(mixed, name)
		if target, err := os.Readlink(link); err == nil && target == path {
			continue
		}
		if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
			return "", err
		}
		if err := os.Symlink(path, link); err != nil {
			return "", err
		}
	}
	return mixed, nil
}
