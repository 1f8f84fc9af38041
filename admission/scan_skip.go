package admission

// skip consumes a value of any kind, checking all of it. Most of a review goes this way, so it is one loop on local
// variables.
//
//nolint:gocyclo,funlen // taken apart, it is slower
func (s *scanner) skip() {
	data, i := s.data, s.pos
	// kinds has one bit for each of the innermost 64 levels: set in an object, clear in an array.
	levels, kinds := 0, uint64(0)
	for {
		c := at(data, i)
		if c <= ' ' {
			i = skipSpace(data, i)
			c = at(data, i)
		}
		switch {
		case c == '"':
			i = stringEnd(data, i+1)
		case c != '{' && c != '[':
			i = scalarEnd(data, i)
		case at(data, i+1) == c+2 && s.depth+levels < maxDepth: // '}' is '{'+2, and ']' is '['+2
			i += 2
		default:
			if s.depth+levels >= maxDepth {
				s.fail(i, tooDeep)
				return
			}
			if levels%64 == 0 {
				s.objects[levels/64] = kinds
			}
			levels++
			kinds = kinds<<1 | uint64(c>>5&1)
			if i = skipSpace(data, i+1); at(data, i) == c+2 {
				break // to where it is closed
			}
			if c == '{' {
				i = keyEnd(data, i)
			}
			if i >= 0 {
				continue
			}
		}
		if i < 0 {
			s.fail(^i, badValue)
			return
		}
		// A value ends here, and maybe what it is in.
		for levels > 0 {
			if c = at(data, i); c <= ' ' {
				i = skipSpace(data, i)
				c = at(data, i)
			}
			if c != closing(kinds) {
				break
			}
			i++
			if levels--; levels%64 == 0 {
				kinds = s.objects[levels/64]
			} else {
				kinds >>= 1
			}
		}
		if levels == 0 {
			s.pos = i
			return
		}
		if c != ',' {
			s.fail(i, badEnd)
			return
		}
		if i++; kinds&1 == 1 {
			if i = keyEnd(data, i); i < 0 {
				s.fail(^i, badKey)
				return
			}
		}
	}
}

// closing is the bracket that ends the innermost level: '}' is ']' with one more bit.
func closing(kinds uint64) byte { return ']' | byte(kinds&1)<<5 }
