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
	connections      = "connections in all"
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

// last lets the attack go on for so long, and until all of it has arrived. Meanwhile something is done every second.
func (a *attack) last(t *testing.T, length time.Duration, meanwhile func()) {
	t.Helper()
	for {
		time.Sleep(time.Second)
		meanwhile()
		arrived, missing := a.arrived()
		switch lasted := time.Since(a.began); {
		case lasted < length:
		case arrived:
			return
		case lasted > length+waitLimit:
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

// arrived tells whether there were as many connections as holders, each kind of them, and every review was answered as berth
// decides on it, and if not, what is missing.
func (a *attack) arrived() (yes bool, missing string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.seen[connections]; n < holders {
		return false, fmt.Sprintf("%d connections", n)
	}
	for _, kind := range slices.Concat(waves...) {
		if a.seen[kind.name] == 0 {
			return false, kind.name
		}
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

// held is a way in which a holder keeps a connection busy: to which port, whether it shakes hands, and what it sends then.
type held struct {
	name    string
	port    string
	secured bool
	start   func() string
}

var (
	silent    = held{"says nothing", "webhook", false, func() string { return "" }}
	hello     = held{"a ClientHello that does not end", "webhook", false, longHello}
	shaken    = held{"shakes hands and says nothing", "webhook", true, func() string { return "" }}
	longHead  = held{"a header of 60 KB that does not end", "webhook", true, func() string { return heldHead + shortLines(60<<10) }}
	shortHead = held{"a header of 4 KB that does not end", "webhook", true, func() string { return heldHead + shortLines(3900) }}
	smallBody = held{"all but the last KB of 61 KB", "webhook", true, func() string { return heldBody(61 << 10) }}
	largeBody = held{"all but the last KB of 7 MiB", "webhook", true, func() string { return heldBody(7 << 20) }}

	noProbe    = held{"says nothing to the port of probes", "health", false, func() string { return "" }}
	longProbe  = held{"a header of 60 KB to the port of probes", "health", false, func() string { return scrapeHead + shortLines(60<<10) }}
	shortProbe = held{"a header of 4 KB to the port of probes", "health", false, func() string { return scrapeHead + shortLines(3900) }}
	longScrape = held{"a header of 60 KB to the port of metrics", "metrics", false, func() string { return scrapeHead + shortLines(60<<10) }}
	scrape     = held{"asks for metrics", "metrics", false, func() string { return scrapeHead + "\r\n" }}
)

// waves are what the holders do for a while each, one in so many. Large bodies, which cost their senders as much as berth, are
// rare; and there are waves without slow bodies, or no review of a few MB would ever find memory.
var waves = [][]held{
	append(slices.Repeat([]held{silent, shaken, longHead, shortHead, smallBody}, 100), largeBody),
	{silent, shaken},
	{shortHead},
	{longHead, hello},
	// The port of probes is the kubelet's, too: were it kept out, the replica would be restarted.
	{noProbe, longProbe, shortProbe, longScrape, scrape},
}

// kindNow is what the i-th holder does at the moment.
func (a *attack) kindNow(i int) held {
	kinds := waves[int(time.Since(a.began)/wave)%len(waves)]
	return kinds[i%len(kinds)]
}

const scrapeHead = "GET /metrics HTTP/1.1\r\nHost: berth\r\n"

const heldHead = "POST " + mutatePath + " HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\n"

func heldBody(size int) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", heldHead, size, strings.Repeat(" ", size-1024))
}

// shortLines are as many header lines as there can be, of names that differ.
func shortLines(size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+.^_`|~"
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		if n := len(letters); i < n*n {
			fmt.Fprintf(&b, "%c%c:\n", letters[i%n], letters[i/n])
		} else {
			fmt.Fprintf(&b, "%x:\n", i)
		}
	}
	return b.String()
}

// longHello is the first 60 KB of a handshake message that claims to be as long as it may.
func longHello() string {
	const records, size = 4, 15_000
	message := "\x01\x00\xff\xff" + strings.Repeat("x", records*size)
	var b strings.Builder
	for i := range records {
		b.WriteString("\x16\x03\x01" + string([]byte{size >> 8, size & 0xff}) + message[i*size:(i+1)*size])
	}
	return b.String()
}

// dialer is of an address of its own for every few attackers.
func (a *attack) dialer(half, i int) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 9, byte(half), byte(1+i%addresses))}, Timeout: 10 * time.Second}
}

// hold keeps a connection open, until the attack ends.
func (a *attack) hold(ctx context.Context, i int) {
	dialer := a.dialer(0, i)
	for pause(ctx, again) {
		kind := a.kindNow(i)
		conn, err := dialer.DialContext(ctx, "tcp", a.pod.Address(kind.port))
		if err != nil {
			a.count("no connection: " + kind.name)
			continue
		}
		a.count(connections)
		plain := conn
		closed := context.AfterFunc(ctx, func() { _ = plain.Close() })
		if kind.secured {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		}
		if _, err := io.WriteString(conn, kind.start()); err == nil {
			a.count(kind.name)
			_, _ = io.Copy(io.Discard, conn)
		}
		closed()
		_ = plain.Close()
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
