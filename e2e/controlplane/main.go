// Command controlplane builds the control plane that berth's playground and end-to-end tests run on: etcd,
// kube-apiserver, kube-controller-manager, kube-scheduler, kubectl and KWOK, at the versions that go.mod pins.
// Run it in its own folder: go run -C e2e/controlplane .
//
// BERTH_KUBERNETES=1.32 builds that minor instead, pinned by the module in the folder 1.32; etcd and KWOK stay the same.
// For another minor copy such a folder, set the versions and the godebug lines of k8s.io/kubernetes's own go.mod, and go
// mod tidy; the folder unserved stands for modules that nothing imports and the proxy does not serve.
//
// It is a module of its own, so that k8s.io/kubernetes never reaches berth's go.mod, and it imports nothing but the
// standard library, so that running it costs nothing once the binaries are there. The last line on standard output is
// the folder with the binaries and KWOK's stages; progress goes to standard error.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go endWithParent(stop)
	folder, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
	fmt.Println(folder)
}

// endWithParent stops the build when the go run that started it is gone: go does not hand every signal on.
func endWithParent(stop func()) {
	parent := os.Getppid()
	for os.Getppid() == parent {
		time.Sleep(200 * time.Millisecond)
	}
	stop()
}

// run makes sure that every binary is there and returns the folder that holds them.
func run(ctx context.Context) (string, error) {
	minor := os.Getenv("BERTH_KUBERNETES")
	pins, err := readPins(".", minor)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for the binaries: %w", err)
	}
	root := filepath.Join(cache, "berth", "controlplane")
	built := filepath.Join(root, pins.key())
	assets := map[string]string{}
	if minor == "" { // else they may be of another version than the one that is asked for
		assets = assetsFrom(os.Getenv("KUBEBUILDER_ASSETS"))
	}

	unlock, err := lock(ctx, built)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := buildMissing(ctx, built, assets, pins); err != nil {
		return "", err
	}
	if err := writeStages(ctx, built); err != nil {
		return "", err
	}
	if len(assets) == 0 {
		return built, nil
	}
	return linkAssets(root, built, assets)
}
