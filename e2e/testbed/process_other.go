//go:build !linux

package testbed

import (
	"os/exec"
	"strconv"
	"syscall"
)

// startTied starts the program in a process group of its own, and beside it a shell that waits for the end of a pipe
// whose other end only this process holds: however this process ends, the shell then kills the program.
func startTied(cmd *exec.Cmd) (release func(), err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	watcher := exec.Command("/bin/sh", "-c", `read -r _; kill -KILL "$0"`, strconv.Itoa(cmd.Process.Pid))
	watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	hold, err := watcher.StdinPipe()
	if err == nil {
		err = watcher.Start()
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	return func() {
		// The watcher first: the pipe's end would make it kill a process id that may by then be another's.
		_ = watcher.Process.Kill()
		_ = watcher.Wait()
		_ = hold.Close()
	}, nil
}
