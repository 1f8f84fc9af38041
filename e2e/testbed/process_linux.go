package testbed

import (
	"os/exec"
	"syscall"
)

// startTied starts the program so that the kernel kills it when the calling thread ends. A process group of its own
// keeps Ctrl-C away from it: the order of the end is Stop's.
func startTied(cmd *exec.Cmd) (release func(), err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return func() {}, cmd.Start()
}
