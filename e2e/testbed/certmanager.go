package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// BuildCertManager builds what StartCertManager runs, so that it needs no network.
func BuildCertManager(ctx context.Context) error {
	root, err := repository()
	if err != nil {
		return err
	}
	return buildCertManager(ctx, root, os.DevNull)
}

func buildCertManager(ctx context.Context, root, output string) error {
	if _, err := goIn(ctx, certManagerModule(root), "build", "-ldflags=-s -w", "-o", output, "."); err != nil {
		return fmt.Errorf("build cert-manager: %w", err)
	}
	return nil
}

func certManagerModule(root string) string { return filepath.Join(root, "e2e", "certmanager") }

// StartCertManager installs cert-manager's CustomResourceDefinitions and runs its controllers and its cainjector, built
// from e2e/certmanager, and returns when they are ready. Certificates and caBundle are theirs from then on.
func (cp *ControlPlane) StartCertManager(ctx context.Context) (*Process, error) {
	binary := cp.path("cert-manager")
	if err := buildCertManager(ctx, cp.root, binary); err != nil {
		return nil, err
	}
	source, err := goIn(ctx, certManagerModule(cp.root), "list", "-m", "-f={{.Dir}}", "github.com/cert-manager/cert-manager")
	if err != nil {
		return nil, fmt.Errorf("find cert-manager's CustomResourceDefinitions: %w", err)
	}
	definitions := filepath.Join(source, "deploy", "crds")
	// Server-side, because one of them does not fit into the annotation of kubectl apply.
	if _, _, err := cp.Kubectl(ctx, "", "apply", "--server-side", "--filename="+definitions); err != nil {
		return nil, err
	}
	if _, _, err := cp.Kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=60s", "--filename="+definitions); err != nil {
		return nil, err
	}
	// Which rights cert-manager needs is its own chart's business.
	if err := cp.certificateKubeconfig("cert-manager", "cert-manager", "system:masters"); err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	process := cp.define("cert-manager", cp.get("http://"+address+"/readyz"),
		"--kubeconfig="+cp.kubeconfigOf("cert-manager"),
		"--health-probe-bind-address="+address,
		"--v=2",
	)
	process.path = binary
	if err := process.Start(ctx); err != nil {
		return nil, err
	}
	return process, process.WaitReady(ctx)
}
