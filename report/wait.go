package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"berth.dev/berth/coverage"
)

// Waited is how far a DaemonSet is that somebody waits for.
type Waited struct {
	Namespace, Name string
	// Complete says that it runs on every node that it should run on, and Failed that waiting does not help.
	Complete, Failed bool
	// Reason is why it is not complete.
	Reason string
	// Counts is of the nodes, and Lacking those of them that are not as they should be.
	Counts  coverage.Counts
	Lacking []coverage.StateGroup
}

// Progress tells people how far a wait is: on a terminal in one line that changes, elsewhere in a line for each change.
type Progress struct {
	w        io.Writer
	terminal bool
	dirty    bool
}

// NewProgress returns a Progress that writes to standard error.
func NewProgress(w io.Writer, terminal bool) *Progress { return &Progress{w: w, terminal: terminal} }

// Tell says how far a DaemonSet is now.
func (p *Progress) Tell(now Waited) {
	text := plain(fmt.Sprintf("Waiting for daemonset %s/%s: %s", now.Namespace, now.Name, now.Reason))
	if now.Complete || now.Failed {
		return // that is the result
	}
	if p.terminal {
		text, p.dirty = clearLine+text, true
	} else {
		text += "\n"
	}
	_, _ = io.WriteString(p.w, text)
}

// clearLine goes to the begin of a terminal's line, and clears it.
const clearLine = "\r\x1b[K"

// End leaves nothing on the line.
func (p *Progress) End() {
	if p.dirty {
		_, _ = io.WriteString(p.w, clearLine)
	}
}

// WriteWait says how a wait has ended: a line for each DaemonSet that is complete, and which nodes lack one that is not, and why.
func WriteWait(w io.Writer, all []Waited, timeout time.Duration) error {
	var text strings.Builder
	for i := range all {
		p := &all[i]
		name := fmt.Sprintf("daemonset %s/%s", p.Namespace, p.Name)
		switch {
		case p.Complete:
			say(&text, "%s runs on %d of %d nodes", name, p.Counts.Running, p.Counts.Total)
			continue
		case p.Failed:
			say(&text, "%s failed: %s", name, p.Reason)
		default:
			say(&text, "%s is not complete%s: %s", name, after(timeout), p.Reason)
		}
		if len(p.Lacking) > 0 {
			table := grid{{"NODES", "STATE", "REASON", "WHICH"}}
			for _, group := range p.Lacking {
				table.row(fmt.Sprint(len(group.Nodes)), string(group.State), orNone(group.Reason), which(group.Nodes))
			}
			table.below(&text)
			text.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// after is how long somebody has waited; empty where they only looked.
func after(timeout time.Duration) string {
	if timeout == 0 {
		return ""
	}
	return " after " + timeout.String()
}
