package webhook

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"berth.dev/berth/admission"
)

const (
	// maxBody is the size of a review that no real one reaches: etcd takes objects of 1.5 MiB, and an update has two.
	maxBody = 16 << 20
	// headSize is within what a review that is larger than that is answered by: the objects come last, and what is before them
	// has a few hundred bytes.
	headSize = 16 << 10
	// firstRead bounds what a client gets for a length that it only claims.
	firstRead = 16 << 10
	// smallBody is the size up to which a buffer is kept for the next request. An ordinary review, of 5 to 50 KiB, is admitted
	// whatever else comes in: where memory for it is missing, a connection hangs up whose body is slower to arrive. Bodies that have
	// arrived hold memory while they are decided on, which is short, or as policies that wait: those are few.
	smallBody = 64 << 10
	// maxBodies is the memory for the bodies of all requests in flight. The garbage collector lets as much again lie about before
	// it collects.
	maxBodies = 32 << 20
	// MaxDecodedWhole is the memory for what all requests together have decoded whole, and so for one alone.
	MaxDecodedWhole = 32 << 20
)

// exchange is the memory that one request needs, used again by the next.
type exchange struct {
	body    []byte
	out     []byte
	scratch []byte
	review  admission.Review
	// conn is whom the request comes from: it holds what body has of the memory for bodies.
	conn *connection
	// tooLarge says that body is the head of a larger one.
	tooLarge bool
}

// budget is an admission.Budget, without a lock.
type budget struct {
	size int64
	left atomic.Int64
}

func newBudget(bytes int64) *budget {
	b := &budget{size: bytes}
	b.left.Store(bytes)
	return b
}

// Size implements admission.Budget.
func (b *budget) Size() int64 { return b.size }

// Take implements admission.Budget.
func (b *budget) Take(bytes int64) bool {
	for {
		left := b.left.Load()
		if left < bytes {
			return false
		}
		if b.left.CompareAndSwap(left, left-bytes) {
			return true
		}
	}
}

// Give implements admission.Budget.
func (b *budget) Give(bytes int64) { b.left.Add(bytes) }

var (
	bodies       = newBudget(maxBodies)
	decodedWhole = newBudget(MaxDecodedWhole)
)

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// release gives the exchange back, without what it knows of this request.
func (x *exchange) release() {
	x.review.Forget()
	if cap(x.body) > smallBody {
		x.body = nil
	}
	if x.conn != nil {
		x.conn.letGo()
	}
	x.conn, x.tooLarge = nil, false
	if cap(x.out)+cap(x.scratch) > smallBody {
		x.out, x.scratch = nil, nil
	}
	exchanges.Put(x)
}

// read reads the request's body into x.body, or the head of one that is larger than so many bytes.
func (x *exchange) read(r *http.Request, most int) *failure {
	x.conn = connectionOf(r.Context())
	length := int(r.ContentLength)
	switch {
	case length < 0: // the client sends chunks
		length = most
	case length > most:
		length, most = headSize, headSize // the rest is not even waited for
	}
	x.body = x.body[:0]
	x.conn.arriving.Store(true)
	if f := x.hold(cap(x.body)); f != nil {
		return f
	}
	for {
		if len(x.body) == cap(x.body) {
			if f := x.grow(length); f != nil {
				return f
			}
		}
		n, err := r.Body.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		switch {
		case len(x.body) > most:
			x.body, x.tooLarge = x.body[:headSize], true
			return nil
		case err == io.EOF:
			x.conn.whole()
			return nil
		case err != nil:
			return unreadable(err)
		}
	}
}

// grow makes room for more of the body. Room doubles, as bytes arrive, up to the length that the client claims: so a client
// reserves no more than twice what it has sent. While it grows it takes both, for the largest body 24 of maxBodies' 32 MiB.
func (x *exchange) grow(length int) *failure {
	length = max(length, len(x.body))
	room := max(2*cap(x.body), firstRead)
	if room >= length {
		room = length + 1 // one more than there can be, or the end of the body would need room again
	}
	if f := x.hold(room); f != nil {
		return f
	}
	grown := make([]byte, len(x.body), room)
	copy(grown, x.body)
	x.body = grown
	return nil
}

// hold takes memory for a body in place of what the connection holds. For a small one, a slower one gives way.
func (x *exchange) hold(room int) *failure {
	for !bodies.Take(int64(room)) {
		if room > smallBody || !x.conn.all.freeBody(x.conn) {
			return overloaded()
		}
	}
	bodies.Give(x.conn.held.Swap(int64(room)))
	return nil
}

var (
	jsonContent     = []string{"application/json"}
	connectionClose = []string{"close"}
	allowPost       = []string{http.MethodPost}
	retryAfter      = []string{strconv.Itoa(retryAfterSeconds)}
)

// send writes x.out as the answer. The header's values are shared between requests: net/http only reads them.
func (x *exchange) send(w http.ResponseWriter, code int) {
	header := w.Header()
	header["Content-Type"] = jsonContent
	header["Content-Length"] = []string{strconv.Itoa(len(x.out))}
	if x.tooLarge {
		header["Connection"] = connectionClose // the rest of the body is not worth reading
	}
	switch code {
	case http.StatusMethodNotAllowed:
		header["Allow"] = allowPost
	case http.StatusServiceUnavailable:
		header["Retry-After"] = retryAfter
		header["Connection"] = connectionClose
	case http.StatusRequestTimeout:
		header["Connection"] = connectionClose
	}
	w.WriteHeader(code)
	_, _ = w.Write(x.out) // a client that is gone needs no answer
}
