// Package apiserver gives the tests of a package a real etcd and kube-apiserver,
// by controller-runtime's envtest. A package's TestMain is Main; its tests share
// one API server, and use names of their own.
package apiserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

var environment envtest.Environment

var start = sync.OnceValues(func() (*rest.Config, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	assets, err := Assets()
	if err != nil {
		return nil, err
	}
	environment = envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join(root, "deploy", "chart", "crds")},
		ErrorIfCRDPathMissing: true,
	}
	config, err := environment.Start()
	if err == nil {
		config.QPS = -1
	}
	return config, err
})

// Main runs the tests of a package and stops the API server that they started.
func Main(m *testing.M) {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	m.Run()
	if err := environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop the API server:", err)
	}
}

// Config is how a cluster admin reaches the API server, which has berth's
// CustomResourceDefinition. The first call starts it.
func Config(t testing.TB) *rest.Config {
	t.Helper()
	config, err := start()
	if err != nil {
		t.Fatalf("no API server to test with, 'make unit' builds one: %v", err)
	}
	return config
}

// Assets is the folder of etcd and kube-apiserver: KUBEBUILDER_ASSETS or, where
// that is not set, the folder of e2e/controlplane, which builds them once.
func Assets() (string, error) {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		return assets, nil
	}
	root, err := repository()
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "run", ".")
	build.Dir = filepath.Join(root, "e2e", "controlplane")
	build.Stderr = os.Stderr
	folder, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("build etcd and kube-apiserver: %w", err)
	}
	return strings.TrimSpace(string(folder)), nil
}

// repository is the folder above the working directory that has the chart.
func repository() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, statErr := os.Stat(filepath.Join(dir, "deploy", "chart")); statErr == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no folder above the working directory is berth's repository")
		}
	}
	return "", err
}
