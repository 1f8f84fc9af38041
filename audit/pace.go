package audit

import (
	"math"
	"time"
)

// How often counts are written: nodes that come and go change those of all
// policies, all the time. A few changes in a row show at once; then each policy
// has to wait, and all of them together.
var (
	paceOfOne = bucket{size: 5, every: 10 * time.Second}
	paceOfAll = bucket{size: 100, every: 100 * time.Millisecond}
)

// How long counts wait before they try again.
const (
	shortestWait = time.Second
	longestWait  = 10 * time.Second
)

// pace says when a policy's counts may be written.
type pace struct {
	all bucket
	one map[string]bucket // by policy
}

func newPace() *pace { return &pace{all: paceOfAll, one: map[string]bucket{}} }

// take allows one write, or says for how long it has to wait.
func (p *pace) take(policy string, now time.Time) (wait time.Duration) {
	one, ok := p.one[policy]
	if !ok {
		one = paceOfOne
	}
	one, all := one.at(now), p.all.at(now)
	if one.used+1 > one.size {
		return max(shortestWait, min(longestWait, one.until()))
	}
	if all.used+1 > all.size {
		// Not as soon as there is room for one: a thousand policies would ask for it.
		return longestWait
	}
	one.used++
	all.used++
	p.one[policy], p.all = one, all
	return 0
}

func (p *pace) forget(policy string) { delete(p.one, policy) }

// bucket has room for size writes, and gets room for one more every so often.
type bucket struct {
	size  float64
	every time.Duration
	used  float64
	since time.Time
}

func (b bucket) at(now time.Time) bucket {
	b.used = math.Max(0, b.used-float64(now.Sub(b.since))/float64(b.every))
	b.since = now
	return b
}

// until is the time until there is room for one more.
func (b bucket) until() time.Duration {
	return time.Duration((b.used + 1 - b.size) * float64(b.every))
}
