// Package browser drives a headless Chromium by the DevTools protocol, over a pipe: enough to open a page, to type and to look.
//
//	browser.go   the process, and what is said to it
//	page.go      one page
package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// ErrNone is that there is no Chromium on this machine.
var ErrNone = errors.New("no chromium is installed: apt-get install chromium")

// Browser is a process, and what it has said.
type Browser struct {
	command *exec.Cmd
	to      io.WriteCloser
	ended   chan struct{}

	mutex   sync.Mutex
	last    int
	waiting map[int]chan message
	events  map[string][]Event // by session
	heard   chan struct{}      // closed with every event
}

// Event is what a page does of its own accord.
type Event struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// message is an answer or an event.
type message struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
	Session string `json:"sessionId"`
	Event
}

// Start starts Chromium, with a profile of its own in a folder that is given.
func Start(ctx context.Context, profile string) (*Browser, error) {
	path, err := find()
	if err != nil {
		return nil, err
	}
	args := []string{
		"--headless", "--remote-debugging-pipe", "--user-data-dir=" + profile, "--disable-gpu", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--disable-sync",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // it has none for root, and looks only at our own pages
	}
	read, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	b := &Browser{
		command: exec.CommandContext(ctx, path, append(args, "about:blank")...), to: to,
		ended: make(chan struct{}), waiting: map[int]chan message{}, events: map[string][]Event{}, heard: make(chan struct{}),
	}
	b.command.ExtraFiles = []*os.File{from, theirs} // 3 and 4, by the protocol
	b.command.WaitDelay = time.Second
	if err := b.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	_, _ = from.Close(), theirs.Close() // the process has its own
	go b.listen(read)
	return b, nil
}

func find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNone
}

// Stop ends the process.
func (b *Browser) Stop() {
	_ = b.command.Process.Kill()
	_ = b.command.Wait() // it was killed
}

func (b *Browser) listen(from io.Reader) {
	defer close(b.ended)
	in := bufio.NewReader(from)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		b.mutex.Lock()
		if answer := b.waiting[m.ID]; answer != nil {
			answer <- m
			delete(b.waiting, m.ID)
		} else if m.Method != "" {
			b.events[m.Session] = append(b.events[m.Session], m.Event)
			close(b.heard)
			b.heard = make(chan struct{})
		}
		b.mutex.Unlock()
	}
}

// command is what is said to a session, or to the browser itself, and result what the answer is decoded into.
type command struct {
	session, method string
	params, result  any
}

// call says something and waits for the answer.
func (b *Browser) call(ctx context.Context, c command) error {
	answer := make(chan message, 1)
	b.mutex.Lock()
	b.last++
	said := map[string]any{"id": b.last, "method": c.method, "params": c.params}
	if c.params == nil {
		said["params"] = struct{}{}
	}
	if c.session != "" {
		said["sessionId"] = c.session
	}
	b.waiting[b.last] = answer
	text, err := json.Marshal(said)
	if err == nil {
		_, err = b.to.Write(append(text, 0))
	}
	b.mutex.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", c.method, err)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", c.method, ctx.Err())
	case <-b.ended:
		return fmt.Errorf("%s: the browser has ended", c.method)
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %s", c.method, strings.TrimSpace(m.Error.Message))
		}
		if c.result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, c.result)
	}
}

// await waits for an event of a session.
func (b *Browser) await(ctx context.Context, session, method string) error {
	for {
		b.mutex.Lock()
		events, heard := b.events[session], b.heard
		b.mutex.Unlock()
		for i := range events {
			if events[i].Method == method {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", method, ctx.Err())
		case <-b.ended:
			return fmt.Errorf("wait for %s: the browser has ended", method)
		case <-heard:
		}
	}
}
