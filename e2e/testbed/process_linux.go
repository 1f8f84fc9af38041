package testbed

import (
	"os/exec"
	"syscall"
)

// startTied starts the program so that the kernel kills it when the calling thread ends. A process group of its own
// keeps Ctrl-C away from it: the order of the end is Stop's.
func startTied(cmd *exec.Cmd) (release func(), err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	return func() {}, cmd.Start()
}
