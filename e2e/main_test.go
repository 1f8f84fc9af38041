// Package e2e_test shows berth's promises on a real control plane, from outside: through kubectl, through a client, and
// by posting AdmissionReviews. One control plane serves all tests; each test has namespaces of its own, and node labels
// that no other test uses.
package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"berth.dev/berth/e2e/testbed"
)

// The control plane and the berth that all tests share.
var (
	cp       *testbed.ControlPlane
	berth    *testbed.Berth
	auditLog testbed.AuditLog
)

func TestMain(m *testing.M) {
	code, err := 0, error(nil)
	if role := os.Getenv(childRole); role != "" {
		err = runChild(role)
	} else {
		code, err = run(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // TestMain is a main
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if auditLog, err = testbed.NewAuditLog(dir); err != nil {
		return 0, err
	}
	if cp, err = testbed.Start(ctx, testbed.Options{Progress: os.Stderr, APIServerFlags: auditLog.APIServerFlags}); err != nil {
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
	version, err := cp.Client.Discovery().ServerVersion()
	if err != nil {
		return 0, err
	}
	fmt.Fprintln(os.Stderr, "Kubernetes", version.GitVersion)
	if minor := os.Getenv("BERTH_KUBERNETES"); !strings.HasPrefix(version.GitVersion, "v"+minor) {
		return 0, fmt.Errorf("kube-apiserver is %s, and BERTH_KUBERNETES asks for %s", version.GitVersion, minor)
	}
	if berth, err = cp.StartBerth(ctx, testbed.BerthOptions{}); err != nil {
		return 0, err
	}
	if err := cp.CreateNodes(ctx, 6); err != nil {
		return 0, err
	}
	return m.Run(), nil
}
