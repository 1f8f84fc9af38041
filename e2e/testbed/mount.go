package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// StartBerthWithSecret does what a kubelet does with the chart's Deployment when it mounts a serving certificate: it
// waits for the Secret, writes it to files, starts berth with them, and writes them anew, until ctx ends, when the
// Secret changes. The chart has to be applied.
func (cp *ControlPlane) StartBerthWithSecret(ctx context.Context, secret string, options BerthOptions) (*Berth, error) {
	if err := cp.build(ctx, &options); err != nil {
		return nil, err
	}
	if err := cp.writeTokenKubeconfig(ctx); err != nil {
		return nil, err
	}
	folder := cp.path(secret)
	if err := cp.mount(ctx, secret, folder); err != nil {
		return nil, err
	}
	// The last of a flag counts.
	options.Args = append(slices.Clone(options.Args), "--tls-cert-file="+folder+"/tls.crt", "--tls-private-key-file="+folder+"/tls.key")
	berth, err := cp.defineBerth("berth", options)
	if err != nil {
		return nil, err
	}
	berth.CABundle = nil // of the certificate that it does not serve
	if err := berth.Start(ctx); err != nil {
		return nil, err
	}
	return berth, berth.WaitReady(ctx)
}

// mount returns when the Secret's files are there.
func (cp *ControlPlane) mount(ctx context.Context, secret, folder string) error {
	var mounted string
	sync := func(ctx context.Context) (bool, error) {
		now, err := cp.Client.CoreV1().Secrets("berth-system").Get(ctx, secret, metav1.GetOptions{})
		if err != nil || now.ResourceVersion == mounted {
			return false, nil // it may come yet
		}
		mounted = now.ResourceVersion
		return true, writeVolume(folder, now.ResourceVersion, now.Data)
	}
	const often = 100 * time.Millisecond
	if err := wait.PollUntilContextTimeout(ctx, often, readyWithin, true, sync); err != nil {
		return fmt.Errorf("mount the Secret %s: %w", secret, err)
	}
	go wait.UntilWithContext(ctx, func(ctx context.Context) { _, _ = sync(ctx) }, often)
	return nil
}

// writeVolume replaces all files at once, as kubelets do: each is a link through ..data, and ..data is what changes.
func writeVolume(folder, version string, files map[string][]byte) error {
	if err := os.MkdirAll(filepath.Join(folder, ".."+version), 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, ".."+version, name), content, 0o600); err != nil {
			return err
		}
	}
	next, current := filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")
	before, _ := os.Readlink(current) // none the first time
	if err := os.Symlink(".."+version, next); err != nil {
		return err
	}
	if err := os.Rename(next, current); err != nil {
		return err
	}
	if before != "" {
		return os.RemoveAll(filepath.Join(folder, before))
	}
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}
