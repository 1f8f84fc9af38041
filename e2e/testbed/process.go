package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	readyWithin = 2 * time.Minute // generous: a loaded machine is slow, not broken
	stopWithin  = 20 * time.Second
)

// Process is one program of the control plane. It can be stopped, killed and started again, with the same command
// line and the same files.
type Process struct {
	// Name is that of the program, Log the file that its output is appended to.
	Name, Log string

	path string
	args []string
	env  []string // nil: that of this process
	root string   // the folder that it takes for /; empty: no other
	user *uint32  // whom it runs as; nil: as this process
	// memory is the cgroup that it starts in; nil: that of this process.
	memory *MemoryGroup
	ready  func(context.Context) error

	mu      sync.Mutex
	process *os.Process
	ended   chan struct{} // closed when the running instance is gone
	endErr  error         // why, set before ended is closed
}

// Start starts the program; WaitReady says when it is of use.
func (p *Process) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return fmt.Errorf("%s is already running", p.Name)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.Name, err)
	}
	ended := make(chan struct{})
	started := make(chan error)
	var process *os.Process
	go func() {
		// The parent-death signal follows the thread that started the process, not the whole parent (golang/go#27505):
		// this thread does nothing else and lives exactly as long as the process.
		runtime.LockOSThread()
		defer log.Close()
		cmd := exec.Command(p.path, p.args...)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.Env = p.env
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: p.root}
		if p.user != nil {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: *p.user, Gid: *p.user}
		}
		leave, err := p.memory.enter(cmd.SysProcAttr)
		if err != nil {
			started <- err
			return
		}
		release, err := startTied(cmd)
		leave()
		if err != nil {
			started <- err
			return
		}
		process = cmd.Process
		started <- nil
		err = cmd.Wait()
		release()
		p.endErr = err
		close(ended)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.process, p.ended = process, ended
	return nil
}

// WaitReady waits until the program answers, and says why when it does not.
func (p *Process) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return p.failed(fmt.Errorf("ended before it was ready: %w", asError(p.endErr)))
		case <-ctx.Done():
			return p.failed(fmt.Errorf("not ready: %w", err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop asks the program to end and kills it when it takes too long. A program that is not running is left alone.
func (p *Process) Stop() error { return p.end(syscall.SIGTERM) }

// Kill ends the program at once, as a crash would.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

// Pid is the process id of the running program, 0 when it does not run.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return 0
	}
	return p.process.Pid
}

func (p *Process) end(signal syscall.Signal) error {
	ended, err := p.signal(signal)
	if ended == nil || err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(stopWithin):
	}
	_, err = p.signal(syscall.SIGKILL)
	<-ended
	return err
}

// signal tells the program something and returns what is closed when it ends; nil when it does not run.
func (p *Process) signal(signal syscall.Signal) (ended <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return nil, nil
	}
	if err := p.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return p.ended, fmt.Errorf("send %s to %s: %w", signal, p.Name, err)
	}
	return p.ended, nil
}

// running needs the lock.
func (p *Process) running() bool {
	if p.ended == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// failed says which program, why, what it said last, and where the rest is.
func (p *Process) failed(err error) error {
	text, readErr := os.ReadFile(p.Log)
	if readErr != nil {
		return fmt.Errorf("%s %w (its log: %w)", p.Name, err, readErr)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	last := bytes.Join(lines[max(0, len(lines)-12):], []byte("\n  "))
	return fmt.Errorf("%s %w\nthe last lines of %s:\n  %s", p.Name, err, p.Log, last)
}

func asError(err error) error {
	if err == nil {
		return errors.New("it said success")
	}
	return err
}
