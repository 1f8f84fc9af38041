package testbed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inNetwork tells the program that RunInNetwork starts where it is.
const inNetwork = "BERTH_TESTBED_NETWORK"

// InNetwork says whether this program was started by RunInNetwork.
func InNetwork() bool { return os.Getenv(inNetwork) != "" }

// RunInNetwork runs this program again, with the same arguments, in a network namespace that is its own: no traffic
// leaves it, and all of 10.0.0.0/8 is this machine. It returns the program's exit code, or ErrNoNetwork where the
// machine does not let this user make one.
func RunInNetwork() (code int, err error) {
	executable, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(executable, os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNetwork+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if user := os.Getuid(); user != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: user, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoNetwork, err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

// openNetwork makes 127.0.0.0/8 and 10.0.0.0/8 addresses of this network namespace: on a loopback device the kernel
// takes every address of a network as its own.
func openNetwork() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the network: %w", err)
	}
	defer unix.Close(socket)
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOOPBACK)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	network, err := unix.NewIfreq("lo:1")
	if err != nil {
		return err
	}
	if err := network.SetInet4Addr([]byte{10, 255, 255, 254}); err != nil {
		return err
	}
	// The mask follows from the address's class: 255.0.0.0.
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFADDR, network); err != nil {
		return fmt.Errorf("give lo the network 10.0.0.0/8: %w", err)
	}
	return nil
}

// hasUser says whether a program can be started here as that user: a user namespace may have but one.
func hasUser(id int64) bool {
	maps, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || os.Getuid() != 0 {
		return false
	}
	for line := range strings.Lines(string(maps)) {
		var first, outside, count int64
		if _, err := fmt.Sscan(line, &first, &outside, &count); err == nil && first <= id && id < first+count {
			return true
		}
	}
	return false
}
