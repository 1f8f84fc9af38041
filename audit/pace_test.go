package audit

import (
	"fmt"
	"testing"
	"time"
)

func TestAFewChangesInARowAreWrittenAtOnceAndThenOneInTenSeconds(t *testing.T) {
	p, now := newPace(), time.Now()
	written := 0
	for range 60 * 10 {
		if p.take("policy", now) == 0 {
			written++
		}
		now = now.Add(100 * time.Millisecond)
	}
	if written != 5+5 {
		t.Errorf("%d writes in a minute of changes, want 5 at once and 5 later", written)
	}
	if wait := p.take("policy", now.Add(-100*time.Millisecond)); wait <= 0 || wait > 10*time.Second {
		t.Errorf("it has to wait %s", wait)
	}
	now = now.Add(time.Minute)
	for i := range 5 {
		if wait := p.take("policy", now); wait != 0 {
			t.Errorf("after a quiet minute, write %d has to wait %s", i, wait)
		}
	}
}

func TestAThousandPoliciesTogetherWriteTenASecond(t *testing.T) {
	p, now := newPace(), time.Now()
	due := map[string]time.Time{}
	written, asked := 0, 0
	for i := range 1000 {
		due[fmt.Sprint(i)] = now
	}
	for range 60 * 10 {
		for policy, at := range due {
			if at.After(now) {
				continue
			}
			asked++
			wait := p.take(policy, now)
			if wait == 0 {
				written++
			}
			due[policy] = now.Add(wait)
		}
		now = now.Add(100 * time.Millisecond)
	}
	if written < 600 || written > 700 {
		t.Errorf("%d writes in a minute, want 100 at once and 10 a second", written)
	}
	if asked > 20*written {
		t.Errorf("asked %d times for %d writes", asked, written)
	}
}
