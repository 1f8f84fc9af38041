// Package reliability_test shows that nothing is lost: restarts, outages and floods on a real control plane, in a network
// namespace of its own, so that the API server reaches berth as in a cluster. deploy/berth.yaml is applied as it is; its
// pods are real processes behind the Service.
//
// With BERTH_SOAK in the environment (make soak) everything has its full length.
package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"berth.dev/berth/e2e/testbed"
)

// The cluster that all tests share, and why there is none.
var (
	cp        *testbed.ControlPlane
	host      *testbed.Host
	noCluster error
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // TestMain is a main
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	if !testbed.InNetwork() {
		// Behind this there is no network to download from.
		_, err := testbed.HelmPath()
		if err := errors.Join(err, testbed.Build(ctx, os.Stderr), testbed.BuildCertManager(ctx), buildPrevious(ctx)); err != nil {
			return 0, err
		}
		code, err := testbed.RunInNetwork()
		if errors.Is(err, testbed.ErrNoNetwork) {
			noCluster = err
			return m.Run(), nil // every test skips, and says why
		}
		return code, err
	}
	cp, err = testbed.Start(ctx, testbed.Options{Progress: os.Stderr})
	if err != nil {
		return 0, err
	}
	defer func() {
		if code != 0 || err != nil {
			fmt.Fprintln(os.Stderr, "the logs are kept in", cp.Dir())
			_ = cp.StopProcesses()
			return
		}
		err = cp.Stop()
	}()
	if host, err = cp.StartHost(ctx); err != nil {
		return 0, err
	}
	defer host.Stop()
	if err := install(ctx); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// buildPrevious builds the berth from which an upgrade is tested, where there is one.
func buildPrevious(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "berth-previous-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if _, err := testbed.Checkout(ctx, previous, folder); !errors.Is(err, testbed.ErrNoCommit) {
		return err
	}
	return nil
}

// install does what docs/install.md says, for somebody who has no DaemonSet to write.
func install(ctx context.Context) error {
	for _, args := range [][]string{
		{"apply", "-f", "deploy/chart/crds"},
		{"wait", "--for=condition=Established", "crd/placementpolicies.berth.dev"},
		{"apply", "-f", "deploy/berth.yaml"},
		{"-n", "berth-system", "rollout", "status", "deployment/berth", "--timeout=60s"},
	} {
		if _, _, err := cp.Kubectl(ctx, "", args...); err != nil {
			return err
		}
	}
	return nil
}
