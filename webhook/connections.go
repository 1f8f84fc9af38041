package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// maxConnections is the most connections for reviews, half of them of one address. Each takes some 40 KiB, and up to 200 while its
// header arrives. API servers have one for each write of DaemonSets that is in flight, and not more than 200 of all such writes,
// unless configured otherwise.
const maxConnections = 500

// openConnections are those that are open. When there are too many, the one gives way that has gone longest without a whole request,
// and first of those from whose address none has come: whoever asks has nothing to fear from whoever only connects, with a new
// connection neither.
type openConnections struct {
	most, mostPerAddress int

	mu        sync.Mutex
	open      map[*connection]struct{}
	byAddress map[netip.Addr]*peer
}

// peer is an address that connections are open of.
type peer struct {
	open int
	// asks says that a whole request has come from it.
	asks atomic.Bool
}

// newConnections has room for so many, and for half as many of one address: one alone keeps nobody out.
func newConnections(most int) *openConnections {
	return &openConnections{
		most: most, mostPerAddress: most / 2,
		open: map[*connection]struct{}{}, byAddress: map[netip.Addr]*peer{},
	}
}

// connection is one that can give way.
type connection struct {
	net.Conn
	all      *openConnections
	address  netip.Addr
	peer     *peer
	accepted time.Time
	// lastWhole is when the last request had arrived as a whole, in nanoseconds; 0: none has yet.
	lastWhole atomic.Int64
	// arriving says that a body is on its way, and held is the memory for it. Whoever takes that out gives it back.
	arriving atomic.Bool
	held     atomic.Int64
}

// limitedListener accepts every connection, at the cost of others.
type limitedListener struct {
	net.Listener
	all *openConnections
}

// Accept implements net.Listener.
func (l limitedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // net/http looks at what it is
	}
	return l.all.add(conn), nil
}

func (s *openConnections) add(conn net.Conn) *connection {
	c := &connection{Conn: conn, all: s, accepted: time.Now()}
	if remote, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		c.address = remote.AddrPort().Addr().Unmap()
	}
	s.mu.Lock()
	if c.peer = s.byAddress[c.address]; c.peer == nil {
		c.peer = new(peer)
		s.byAddress[c.address] = c.peer
	}
	c.peer.open++
	var leaving *connection
	switch {
	case c.peer.open > s.mostPerAddress:
		leaving = s.longestWithout(func(other *connection) bool { return other.address == c.address })
	case len(s.open) >= s.most:
		leaving = s.longestWithout(func(*connection) bool { return true })
	}
	if leaving != nil {
		s.remove(leaving)
	}
	s.open[c] = struct{}{}
	s.mu.Unlock()
	if leaving != nil {
		leaving.hangUp()
	}
	return c
}

// remove forgets a connection. The caller has the lock.
func (s *openConnections) remove(c *connection) {
	if _, ok := s.open[c]; !ok {
		return
	}
	delete(s.open, c)
	if c.peer.open--; c.peer.open == 0 {
		delete(s.byAddress, c.address)
	}
}

// longestWithout returns the one of these that has gone longest without a whole request; nil where there is none.
func (s *openConnections) longestWithout(among func(*connection) bool) (longest *connection) {
	for c := range s.open {
		if among(c) && (longest == nil || c.before(longest)) {
			longest = c
		}
	}
	return longest
}

func (c *connection) before(other *connection) bool {
	mine, theirs := c.lastWhole.Load(), other.lastWhole.Load()
	if mine != theirs {
		return mine < theirs
	}
	if asks := c.peer.asks.Load(); asks != other.peer.asks.Load() {
		return !asks
	}
	return c.accepted.Before(other.accepted)
}

// freeBody hangs up on the connection whose body is on its way and that has gone longest without a whole request, and gives that
// memory back. False means that there is none but this one.
func (s *openConnections) freeBody(but *connection) bool {
	s.mu.Lock()
	slowest := s.longestWithout(func(c *connection) bool { return c != but && c.arriving.Load() })
	if slowest != nil {
		s.remove(slowest)
	}
	s.mu.Unlock()
	if slowest == nil {
		return false
	}
	slowest.hangUp()
	slowest.letGo()
	return true
}

// letGo gives back the memory that the connection holds for a body.
func (c *connection) letGo() {
	c.arriving.Store(false)
	bodies.Give(c.held.Swap(0))
}

// whole notes that a request has arrived.
func (c *connection) whole() {
	c.arriving.Store(false)
	c.lastWhole.Store(time.Now().UnixNano())
	if !c.peer.asks.Load() {
		c.peer.asks.Store(true)
	}
}

// hangUp closes the connection without a word, and without waiting: a TLS alert might block.
func (c *connection) hangUp() { _ = c.Conn.Close() }

// Close implements net.Conn.
func (c *connection) Close() error {
	c.all.mu.Lock()
	c.all.remove(c)
	c.all.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // as it is
}

type connectionKey struct{}

// withConnection is a hook for http.Server.ConnContext.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// connectionOf is the request's connection, or one of nobody's where a test asks without any.
func connectionOf(ctx context.Context) *connection {
	if c, ok := ctx.Value(connectionKey{}).(*connection); ok {
		return c
	}
	return &connection{all: newConnections(maxConnections), peer: new(peer)}
}
