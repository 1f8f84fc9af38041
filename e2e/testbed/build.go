package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Build builds what Start and StartHost run, so that they need no network.
func Build(ctx context.Context, progress io.Writer) error {
	root, err := repository()
	if err != nil {
		return err
	}
	if _, err := build(ctx, root, progress); err != nil {
		return err
	}
	return buildBerth(ctx, root, os.DevNull)
}

// build makes sure that the control plane's programs are there, which takes minutes the first time and nothing after,
// and returns their folder.
func build(ctx context.Context, root string, progress io.Writer) (folder string, err error) {
	runtime.LockOSThread() // see Process.Start
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "go", "run", ".")
	cmd.Dir = filepath.Join(root, "e2e", "controlplane")
	var path, output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &path, &output
	if progress != nil {
		cmd.Stderr = progress
	}
	// The group: go run does not hand a signal on.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = stopWithin
	release, err := startTied(cmd)
	if err != nil {
		return "", fmt.Errorf("build the control plane: %w", err)
	}
	defer release()
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("build the control plane: %w\n%s", err, output.Bytes())
	}
	return strings.TrimSpace(path.String()), nil
}

// goIn runs the go command in the folder of a module, and returns what it prints.
func goIn(ctx context.Context, folder string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	var errs strings.Builder
	cmd.Stderr = &errs
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(string(output)), nil
}

// repository is the folder of berth's go.mod, whichever folder of it we run in.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "e2e", "controlplane", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not in berth's repository: run it from a folder of the repository")
		}
	}
}

// freePorts finds ports below the range that kernels hand out by themselves, so that they stay free while the program
// behind one is restarted.
func freePorts(n int) ([]int, error) {
	const first, last, tries = 20000, 30000, 500
	var ports []int
	taken := map[int]bool{}
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		port := first + rand.IntN(last-first)
		if taken[port] {
			continue
		}
		taken[port] = true
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d on 127.0.0.1", n, first, last)
}

const folderPrefix = "berth-testbed-"

// removeAbandoned removes the folders of runs that were killed before they could. Their names carry the process id.
func removeAbandoned() {
	folders, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	if err != nil {
		return // a malformed TMPDIR pattern: nothing to find
	}
	for _, folder := range folders {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), folderPrefix), "-")
		id, err := strconv.Atoi(pid)
		if err != nil {
			continue
		}
		if errors.Is(syscall.Kill(id, 0), syscall.ESRCH) {
			_ = os.RemoveAll(folder) // another's, or another run is at it too: either way not ours to report
		}
	}
}
