package admission

import "fmt"

// maxDepth is how deep arrays and objects may nest: what the API server's own decoder takes, so that nothing which got
// that far is refused here.
const maxDepth = 10_000

// scanner walks one JSON text once, front to back. It checks all of RFC 8259 except UTF-8, which the caller checks in one
// sweep, also in what it skips: a text that it accepts is one that the API server would accept. It allocates nothing.
type scanner struct {
	data  []byte
	pos   int
	depth int
	err   *syntaxError
	// keyAt is where the last key starts that keys has yielded, quote included.
	keyAt int
	// objects is where skip puts down the kinds of 64 levels at a time.
	objects [maxDepth/64 + 1]uint64
}

// syntaxError says where a text stops being JSON.
type syntaxError struct {
	offset int
	reason string
}

// Error returns the reason and the place.
func (e *syntaxError) Error() string {
	return fmt.Sprintf("the body is no AdmissionReview: at byte %d: %s", e.offset, e.reason)
}

// What a text can lack.
const (
	badKey    = "a key and a colon should be here"
	badString = "a string is not well formed"
	badValue  = "a value should be here"
	badEnd    = "a comma or the end of an array or object should be here"
	tooDeep   = "nested too deep"
)

// reset makes the scanner read data from its start.
func (s *scanner) reset(data []byte) {
	s.data, s.pos, s.depth, s.err = data, 0, 0, nil
}

// fail keeps the first error. From then on every step is at the end of the text, so no loop goes on.
func (s *scanner) fail(offset int, reason string) {
	if s.err == nil {
		if offset >= len(s.data) {
			offset, reason = len(s.data), "it ends too early"
		}
		s.err = &syntaxError{offset: offset, reason: reason}
	}
	s.pos = len(s.data)
}

// cutShort tells whether there is no fault in the text but its end.
func (s *scanner) cutShort() bool { return s.err != nil && s.err.offset == len(s.data) }

// next skips white space and returns the byte there, or 0, which no JSON token starts with, at the end.
func (s *scanner) next() byte {
	s.pos = skipSpace(s.data, s.pos)
	return at(s.data, s.pos)
}

// finish demands that nothing but white space is left.
func (s *scanner) finish() {
	if s.next(); s.err == nil && s.pos < len(s.data) {
		s.fail(s.pos, "more text after the value")
	}
}

// keys walks an object: it yields every key as it stands between its quotes, with the scanner at the value, which the
// loop's body must consume.
func (s *scanner) keys(yield func(key []byte) bool) {
	if s.next() != '{' {
		s.fail(s.pos, "an object should start here")
		return
	}
	if s.depth++; s.depth > maxDepth {
		s.fail(s.pos, tooDeep)
		return
	}
	s.pos++
	if s.next() == '}' {
		s.pos++
		s.depth--
		return
	}
	for {
		key := s.key()
		if s.err != nil || !yield(key) || s.err != nil {
			return
		}
		switch s.next() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			s.depth--
			return
		default:
			s.fail(s.pos, badEnd)
			return
		}
	}
}

// elements walks an array: it yields with the scanner at each element, which the loop's body must consume.
func (s *scanner) elements(yield func() bool) {
	if s.next() != '[' {
		s.fail(s.pos, "an array should start here")
		return
	}
	s.pos++
	if s.next() == ']' {
		s.pos++
		return
	}
	for yield() && s.err == nil {
		c := s.next()
		s.pos++
		if c == ']' {
			return
		}
		if c != ',' {
			s.fail(s.pos-1, badEnd)
		}
	}
}

// key consumes a key and its colon.
func (s *scanner) key() []byte {
	start := skipSpace(s.data, s.pos)
	if at(s.data, start) != '"' {
		s.fail(start, badKey)
		return nil
	}
	end := stringEnd(s.data, start+1)
	if end < 0 {
		s.fail(^end, badString)
		return nil
	}
	colon := skipSpace(s.data, end)
	if at(s.data, colon) != ':' {
		s.fail(colon, badKey)
		return nil
	}
	s.pos, s.keyAt = colon+1, start
	return s.data[start+1 : end-1]
}

// value consumes a value and returns its bytes.
func (s *scanner) value() []byte {
	s.next()
	start := s.pos
	s.skip()
	if s.err != nil {
		return nil
	}
	return s.data[start:s.pos]
}

// at returns the byte there, or 0 behind the end.
func at(data []byte, i int) byte {
	if uint(i) < uint(len(data)) {
		return data[i]
	}
	return 0
}

func skipSpace(data []byte, i int) int {
	for uint(i) < uint(len(data)) && data[i] <= ' ' {
		if c := data[i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return i
		}
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' < 10 }

func isHexDigit(c byte) bool { return isDigit(c) || (c|0x20)-'a' < 6 }
