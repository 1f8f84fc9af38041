package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"berth.dev/berth/e2e/testbed"
)

// childRole tells this test binary, when it starts itself, how to end: "wait" for the kill, or "panic".
const childRole = "BERTH_E2E_CHILD"

// childReport is what the child says when its control plane is up.
type childReport struct {
	Dir  string
	Pids map[string]int
}

// runChild starts a control plane and gets no chance to take it down.
func runChild(role string) error {
	child, err := testbed.Start(context.Background(), testbed.Options{})
	if err != nil {
		return err
	}
	report := childReport{Dir: child.Dir(), Pids: map[string]int{}}
	for _, p := range []*testbed.Process{child.Etcd, child.APIServer, child.ControllerManager, child.Scheduler, child.KWOK} {
		report.Pids[p.Name] = p.Pid()
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return err
	}
	if role == "panic" {
		go func() { panic("as a test might") }() //nolint:forbidigo // what comes of a panic is the question
	}
	select {}
}

func TestNoProcessStaysWhenTheOneThatStartedThemIsGone(t *testing.T) {
	for _, role := range []string{"wait", "panic"} {
		t.Run(map[string]string{"wait": "killed with SIGKILL", "panic": "ended by a panic"}[role], func(t *testing.T) {
			executable, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			child := exec.Command(executable)
			child.Env = append(os.Environ(), childRole+"="+role)
			stdout, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadBytes('\n')
			if err != nil {
				_ = child.Process.Kill()
				t.Fatalf("the child said nothing: %v, %v", err, child.Wait())
			}
			var report childReport
			if err := json.Unmarshal(line, &report); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				for _, pid := range report.Pids {
					if alive(pid) { // the test has failed: at least leave nothing behind
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
				os.RemoveAll(report.Dir)
			})
			if len(report.Pids) != 5 {
				t.Fatalf("the child reports %v, not 5 processes", report.Pids)
			}
			if role == "wait" {
				for name, pid := range report.Pids {
					if !alive(pid) {
						t.Errorf("%s was not running", name)
					}
				}
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if err := child.Wait(); err == nil {
				t.Error("the child ended well, which it should not")
			}
			for name, pid := range report.Pids {
				waitFor(t, "the end of "+name, func() (bool, string) { return !alive(pid), fmt.Sprintf("process %d", pid) })
			}
		})
	}
}

// alive says whether a process runs. One that has ended but that nobody has asked about (a zombie) does not.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		_, procErr := os.Stat("/proc/self")
		return procErr != nil // no /proc here: the signal's answer stands
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}
