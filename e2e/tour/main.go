// Command tour shows berth's main job, step by step, on a control plane of its own, and then leaves that control plane
// to you until Ctrl-C. It is what make run runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"berth.dev/berth/e2e/testbed"
)

func main() {
	exit := flag.Bool("exit", false, "end after the tour, instead of staying up")
	flag.Parse()
	if err := run(*exit); err != nil {
		fmt.Fprintln(os.Stderr, "\ntour:", err)
		os.Exit(1)
	}
}

// run goes through the whole tour. To be interrupted is no failure.
func run(exit bool) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := endWithParent(ctx)
	defer cancel()

	printText("berth gives every DaemonSet its berth: the nodes that carry its label.\n")
	began := time.Now()
	cp, err := testbed.Start(ctx, testbed.Options{Progress: os.Stderr})
	if err != nil {
		return unlessInterrupted(ctx, err)
	}
	defer func() {
		stop() // From here on a second Ctrl-C ends the tour at once, and the kernel ends the processes.
		err = errors.Join(err, takeDown(cp, err != nil))
	}()
	done("control plane", "etcd, API server, controllers, scheduler and KWOK, "+cp.RestConfig.Host, began)

	t := &tour{cp: cp, namespace: "demo"}
	if err := t.show(ctx); err != nil {
		return unlessInterrupted(ctx, err)
	}
	if exit {
		return nil
	}
	t.handOver()
	<-ctx.Done()
	return nil
}

// takeDown ends every process. After a failure the files stay, for their logs.
func takeDown(cp *testbed.ControlPlane, failed bool) error {
	printText("\nStopping …")
	if failed {
		printText("The logs are kept in " + cp.Dir())
		return cp.StopProcesses()
	}
	if err := cp.Stop(); err != nil {
		return err
	}
	printText("Stopped: no process is left, and no file outside the cache of built programs.")
	return nil
}

func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		printText("\nInterrupted.")
		return nil
	}
	return err
}

// endWithParent ends the tour with the go run that started it: go does not hand SIGTERM on.
func endWithParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		for ctx.Err() == nil && os.Getppid() == parent {
			time.Sleep(200 * time.Millisecond)
		}
		cancel()
	}()
	return ctx, cancel
}
