package audit

import (
	"time"

	"golang.org/x/time/rate"
)

// How often counts are written: nodes that come and go change those of all
// policies, all the time. A few changes in a row show at once; then each policy
// has to wait, and all of them together.
const (
	atOnceOfOne = 5
	everyOfOne  = 10 * time.Second
	atOnceOfAll = 100
	everyOfAll  = 100 * time.Millisecond
)

// How long counts wait before they try again.
const (
	shortestWait = time.Second
	longestWait  = 10 * time.Second
)

// pace says when a policy's counts may be written.
type pace struct {
	all *rate.Limiter
	one map[string]*rate.Limiter // by policy
}

func newPace() *pace {
	return &pace{all: rate.NewLimiter(rate.Every(everyOfAll), atOnceOfAll), one: map[string]*rate.Limiter{}}
}

// take allows one write, or says for how long it has to wait.
func (p *pace) take(policy string, now time.Time) (wait time.Duration) {
	if p.one[policy] == nil {
		p.one[policy] = rate.NewLimiter(rate.Every(everyOfOne), atOnceOfOne)
	}
	write := p.one[policy].ReserveN(now, 1)
	if wait := write.DelayFrom(now); wait > 0 {
		write.CancelAt(now)
		return max(shortestWait, min(longestWait, wait))
	}
	if !p.all.AllowN(now, 1) {
		write.CancelAt(now)
		// Not as soon as there is room for one: a thousand policies would ask for it.
		return longestWait
	}
	return 0
}

func (p *pace) forget(policy string) { delete(p.one, policy) }
