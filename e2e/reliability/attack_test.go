package reliability_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"berth.dev/berth/e2e/testbed"
)

const (
	// holders keep a connection each, posters send reviews one after the other.
	holders, posters = 10_000, 8
	// addresses is how many each half of them comes from.
	addresses = 250
	// again is how long a holder waits on average before it connects again, when berth has hung up.
	again = 20 * time.Second
	// wave is how long the attackers do as they do.
	wave = 10 * time.Second
)

// attack is a crowd around the port of a replica.
type attack struct {
	pod    *testbed.Pod
	bodies []adversary
	began  time.Time
	end    context.CancelFunc
	group  sync.WaitGroup

	mu sync.Mutex
	// seen is how often each thing has happened.
	seen map[string]int
}

func startAttack(t *testing.T, pod *testbed.Pod, namespace string) *attack {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	a := &attack{pod: pod, bodies: adversaries(t, namespace), began: time.Now(), end: end, seen: map[string]int{}}
	for i := range holders {
		a.group.Go(func() { a.hold(ctx, i) })
	}
	for i := range posters {
		a.group.Go(func() { a.post(ctx, i) })
	}
	return a
}

// last lets the attack go on for so long, and until all of it has arrived.
func (a *attack) last(t *testing.T, length time.Duration) {
	t.Helper()
	time.Sleep(length)
	for deadline := time.Now().Add(waitLimit); ; time.Sleep(time.Second) {
		arrived, missing := a.arrived()
		if arrived {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("not all of the attack has arrived: %s", missing)
			return
		}
	}
}

// stop ends the attack and says what came of it.
func (a *attack) stop(t *testing.T) {
	t.Helper()
	a.end()
	a.group.Wait()
	for _, what := range slices.Sorted(maps.Keys(a.seen)) {
		t.Logf("%7d × %s", a.seen[what], what)
	}
}

// arrived tells whether every holder has connected and every review was answered as berth decides on it, and if not, what is
// missing.
func (a *attack) arrived() (yes bool, missing string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.seen["connections"]; n < holders {
		return false, fmt.Sprintf("%d connections", n)
	}
	for _, body := range a.bodies {
		if what := body.name + ": " + http.StatusText(body.code); a.seen[what] == 0 {
			return false, what
		}
	}
	return true, ""
}

func (a *attack) count(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[what]++
}

// held is a way in which a holder keeps a connection busy: whether it shakes hands, and what it sends then.
type held struct {
	name    string
	secured bool
	start   func() string
}

var (
	silent    = held{"says nothing", false, nil}
	shaken    = held{"shakes hands and says nothing", true, func() string { return "" }}
	header    = held{"a header that does not end", true, func() string { return heldHead + shortLines(60<<10) }}
	smallBody = held{"all but the last KB of 61 KB", true, func() string { return heldBody(61 << 10) }}
	largeBody = held{"all but the last KB of 7 MiB", true, func() string { return heldBody(7 << 20) }}
)

// kindOf is what the i-th holder does now. Large bodies, which cost their senders as much as berth, are rare; and there are times
// without slow bodies, or no review of a few MB would ever find memory.
func (a *attack) kindOf(i int) held {
	withoutBodies := time.Since(a.began)%(2*wave) > wave
	switch {
	case withoutBodies && i%5 == 2:
		return header
	case !withoutBodies && i%500 == 0:
		return largeBody
	case i%5 == 1:
		return header
	case i%5 == 2:
		return smallBody
	case i%5 == 3:
		return shaken
	default:
		return silent
	}
}

const heldHead = "POST " + mutatePath + " HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\n"

func heldBody(size int) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", heldHead, size, strings.Repeat(" ", size-1024))
}

// shortLines are as many header lines as there can be.
func shortLines(size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "%c%c%c:\n", letters[i%36], letters[i/36%36], letters[i/1296%36])
	}
	return b.String()
}

// dialer is of an address of its own for every few attackers.
func (a *attack) dialer(half, i int) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 9, byte(half), byte(1+i%addresses))}, Timeout: 10 * time.Second}
}

// hold keeps a connection open, until the attack ends.
func (a *attack) hold(ctx context.Context, i int) {
	kind := a.kindOf(i)
	dialer := a.dialer(0, i)
	for pause(ctx, again) {
		conn, err := dialer.DialContext(ctx, "tcp", a.pod.Address("webhook"))
		if err != nil {
			a.count("no connection: " + kind.name)
			continue
		}
		a.count("connections")
		closed := context.AfterFunc(ctx, func() { _ = conn.Close() })
		if kind.secured {
			secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			_, err = io.WriteString(secured, kind.start())
			conn = secured
		}
		if err == nil {
			a.count("held: " + kind.name)
			_, _ = io.Copy(io.Discard, conn)
		}
		closed()
		_ = conn.Close()
	}
}

// pause waits as long as that on average, and tells whether the attack goes on.
func pause(ctx context.Context, about time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(rand.N(2 * about)):
		return true
	}
}

// post sends reviews one after the other, until the attack ends.
func (a *attack) post(ctx context.Context, i int) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: a.dialer(1, i).DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Timeout: 20 * time.Second, Transport: transport}
	for turn := i; pause(ctx, 100*time.Millisecond); turn++ {
		body := &a.bodies[turn%len(a.bodies)]
		code, _, err := post(ctx, client, a.pod, []byte(body.review))
		switch {
		case ctx.Err() != nil:
		case err != nil:
			a.count(body.name + ": no answer")
		default:
			a.count(body.name + ": " + http.StatusText(code))
		}
	}
}

// beNice has the kernel prefer others to this process: what attackers do takes no time of the attacked machine.
func beNice(t *testing.T) {
	t.Helper()
	set := func(niceness int) {
		threads, _ := os.ReadDir("/proc/self/task")
		for _, thread := range threads {
			if id, err := strconv.Atoi(thread.Name()); err == nil {
				_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, niceness)
			}
		}
	}
	set(10)
	t.Cleanup(func() { set(0) })
}
