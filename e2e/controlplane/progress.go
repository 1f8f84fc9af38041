package main

import (
	"fmt"
	"os"
	"time"
)

// progress tells how a long build goes: a line that counts on a terminal, a line every half minute in a log.
type progress struct {
	file     *os.File
	terminal bool
}

func newProgress(file *os.File) progress {
	info, err := file.Stat()
	return progress{file: file, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p progress) printf(format string, args ...any) {
	fmt.Fprintf(p.file, format, args...)
}

// begin shows the step until the returned function says how it ended.
func (p progress) begin(step string, usual time.Duration) (done func(error)) {
	start := time.Now()
	every, before, after := 30*time.Second, "", "\n"
	if p.terminal {
		every, before, after = time.Second, "\r\033[K", ""
	}
	show := func(what string) { p.printf("%s%s%s%s", before, step, what, after) }
	running := func() { show(fmt.Sprintf("%s of about %s", minutes(time.Since(start)), minutes(usual))) }
	show("takes about " + minutes(usual))
	finished, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				running()
			case <-finished:
				return
			}
		}
	}()
	return func(err error) {
		close(finished)
		<-stopped
		word := "done in "
		if err != nil {
			word = "failed after "
		}
		after = "\n"
		show(word + minutes(time.Since(start)))
	}
}

func minutes(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s < 60 {
		return fmt.Sprintf("%d s", s)
	}
	return fmt.Sprintf("%d min %02d s", s/60, s%60)
}
