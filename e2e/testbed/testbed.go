// Package testbed runs a real Kubernetes control plane on this machine, and berth beside it, for the playground and the
// end-to-end tests: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK, all on 127.0.0.1, with
// their files in one temporary folder.
//
// The programs are real and so are the rules: RBAC is on, berth has the token of its own ServiceAccount, and what is
// applied is deploy/berth.yaml. Only the nodes are KWOK's: they are ready and their pods run, but no container does.
//
// Every process dies with the one that started it, also when that one panics or is killed.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Options says what kind of control plane to start; the zero value is a good one.
type Options struct {
	// Progress receives what the build of the control plane's programs says; nil: nothing.
	Progress io.Writer
	// APIServerFlags are added to those of kube-apiserver, for example an audit log.
	APIServerFlags []string
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string
	// Bin is the folder of the programs, kubectl among them.
	Bin string
	// RestConfig and Client are the administrator's.
	RestConfig *rest.Config
	Client     kubernetes.Interface

	// The programs, so that a test can take one away and bring it back.
	Etcd, APIServer, ControllerManager, Scheduler, KWOK *Process

	root   string // berth's repository
	dir    string // removed by Stop
	certs  *authority
	owned  []*Process // in the order of their start
	server string     // https://127.0.0.1:PORT

	apiServerArgs []string // those of the first start
}

// Start builds what has to be built, starts everything and returns when it is ready for work.
func Start(ctx context.Context, options Options) (_ *ControlPlane, err error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	if InNetwork() {
		if err := openNetwork(); err != nil {
			return nil, err
		}
	}
	bin, err := build(ctx, root, options.Progress)
	if err != nil {
		return nil, err
	}
	removeAbandoned()
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", folderPrefix, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("no temporary folder for the control plane: %w", err)
	}
	cp := &ControlPlane{Bin: bin, root: root, dir: dir}
	defer func() {
		switch {
		case err == nil:
		case ctx.Err() != nil:
			err = errors.Join(err, cp.Stop())
		default: // The error names a log: the folder stays.
			err = errors.Join(err, cp.StopProcesses())
		}
	}()
	if err := cp.prepare(options); err != nil {
		return nil, err
	}
	if err := cp.startProcesses(ctx); err != nil {
		return nil, err
	}
	return cp, nil
}

// RestartAPIServer kills kube-apiserver and starts it with more flags than it had at first.
func (cp *ControlPlane) RestartAPIServer(ctx context.Context, flags ...string) error {
	if err := cp.APIServer.Kill(); err != nil {
		return err
	}
	cp.APIServer.args = slices.Concat(cp.apiServerArgs, flags)
	if err := cp.APIServer.Start(ctx); err != nil {
		return err
	}
	return cp.APIServer.WaitReady(ctx)
}

// startProcesses starts each program when the one that it needs is ready.
func (cp *ControlPlane) startProcesses(ctx context.Context) error {
	for _, together := range [][]*Process{{cp.Etcd}, {cp.APIServer}, {cp.ControllerManager, cp.Scheduler, cp.KWOK}} {
		for _, p := range together {
			if err := p.Start(ctx); err != nil {
				return err
			}
		}
		for _, p := range together {
			if err := p.WaitReady(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare writes the certificates, kubeconfigs and command lines.
func (cp *ControlPlane) prepare(options Options) error {
	ports, err := freePorts(5)
	if err != nil {
		return err
	}
	if cp.certs, err = newAuthority(cp.dir, "berth-testbed"); err != nil {
		return err
	}
	cp.server = fmt.Sprintf("https://127.0.0.1:%d", ports[1])
	if err := cp.writeCredentials(); err != nil {
		return err
	}
	if cp.RestConfig, err = cp.adminConfig(); err != nil {
		return err
	}
	if cp.Client, err = kubernetes.NewForConfig(cp.RestConfig); err != nil {
		return err
	}
	cp.defineProcesses(ports, options.APIServerFlags)
	cp.apiServerArgs = cp.APIServer.args
	return nil
}

// Stop ends every process, the last started first, and removes every file.
func (cp *ControlPlane) Stop() error {
	return errors.Join(cp.StopProcesses(), os.RemoveAll(cp.dir))
}

// StopProcesses ends every process and leaves the files, for somebody to read the logs.
func (cp *ControlPlane) StopProcesses() error {
	var errs []error
	for _, p := range slices.Backward(cp.owned) {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}

// Dir is the folder of this run: certificates, kubeconfigs, etcd's data and the logs. Stop removes it.
func (cp *ControlPlane) Dir() string { return cp.dir }

func (cp *ControlPlane) path(name string) string { return filepath.Join(cp.dir, name) }
