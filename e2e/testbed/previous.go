package testbed

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// ErrNoCommit is why there is no Checkout: a shallow clone.
var ErrNoCommit = errors.New("the commit is not in this checkout")

// Checkout writes the files of a commit of this repository into a folder and builds its berth.
func Checkout(ctx context.Context, commit, folder string) (binary string, err error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	if err := exec.CommandContext(ctx, "git", "-C", root, "cat-file", "-e", commit+"^{commit}").Run(); err != nil {
		return "", fmt.Errorf("%w: %s", ErrNoCommit, commit)
	}
	unpack := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", `git -C "$0" archive "$1" | tar -x -C "$2"`, root, commit, folder)
	if out, err := unpack.CombinedOutput(); err != nil {
		return "", fmt.Errorf("check out %s: %w\n%s", commit, err, out)
	}
	binary = filepath.Join(folder, "bin", "berth") // where make build of any version writes it
	return binary, buildBerth(ctx, folder, binary)
}
