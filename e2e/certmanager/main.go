// Command certmanager runs the controllers of cert-manager that an Issuer, a CA and a serving certificate need, and its
// cainjector, in one process, for the end-to-end tests. What they do is cert-manager's own, with its own defaults; only
// the start is written here, because cert-manager's commands are modules that go get cannot reach.
//
// Left out: its webhook, ACME, Vault and Venafi, cluster issuers' own controller, leader election, metrics.
//
// It is a module of its own, so that the controllers run with the libraries that cert-manager was released with.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cert-manager/cert-manager/pkg/logs"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

func main() {
	// A set of its own: controller-runtime has a --kubeconfig in the common one.
	flags := flag.NewFlagSet("certmanager", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig of the cluster to serve")
	health := flags.String("health-probe-bind-address", "127.0.0.1:9403", "where /readyz answers")
	klog.InitFlags(flags)
	_ = flags.Parse(os.Args[1:]) // it exits by itself
	// Without this, controller-runtime throws away what cainjector logs.
	ctrl.SetLogger(logs.Log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *kubeconfig, *health)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "certmanager:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. The manager is cainjector's; the controllers only live and end with it.
func run(ctx context.Context, kubeconfig, health string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	injector, err := newInjector(ctx, config, health)
	if err != nil {
		return fmt.Errorf("set up cainjector: %w", err)
	}
	controllers := func(ctx context.Context) error { return runControllers(ctx, kubeconfig) }
	if err := injector.Add(manager.RunnableFunc(controllers)); err != nil {
		return err
	}
	return injector.Start(ctx)
}
