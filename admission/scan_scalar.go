package admission

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions below take the place where something starts and return the one behind it, or, where it is not well
// formed, the complement of the place of the fault, which is negative.

// keyEnd is behind a key and its colon.
func keyEnd(data []byte, i int) int {
	if i = skipSpace(data, i); at(data, i) != '"' {
		return ^i
	}
	if i = stringEnd(data, i+1); i < 0 {
		return i
	}
	if at(data, i) != ':' {
		if i = skipSpace(data, i); at(data, i) != ':' {
			return ^i
		}
	}
	return i + 1
}

// scalarEnd is behind a number or a literal.
func scalarEnd(data []byte, i int) int {
	switch c := at(data, i); {
	case c == '-' || isDigit(c):
		return numberEnd(data, i)
	case c == 't':
		return literalEnd(data, i, "true")
	case c == 'f':
		return literalEnd(data, i, "false")
	case c == 'n':
		return literalEnd(data, i, "null")
	}
	return ^i
}

func literalEnd(data []byte, i int, literal string) int {
	end := i + len(literal)
	if end > len(data) || string(data[i:end]) != literal {
		return ^i
	}
	return end
}

// The words of the string scan: eight bytes at a time, as one integer.
const (
	everyByte    = 0x0101010101010101
	everyHighBit = 0x8080808080808080
)

// stringEnd is behind the closing quote of a string whose text starts at i.
func stringEnd(data []byte, i int) int {
	for {
		for i+8 <= len(data) {
			word := binary.LittleEndian.Uint64(data[i : i+8])
			quote, backslash := word^(everyByte*'"'), word^(everyByte*'\\')
			// The lowest byte that gets its high bit set is exact; a borrow can only spoil those above it.
			found := ((quote-everyByte)&^quote | (backslash-everyByte)&^backslash | (word-everyByte*' ')&^word) & everyHighBit
			if found != 0 {
				i += bits.TrailingZeros64(found) / 8
				break
			}
			i += 8
		}
		switch c := at(data, i); {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = escapeEnd(data, i); i < 0 {
				return i
			}
		case c < ' ':
			return ^i
		default:
			i++
		}
	}
}

func escapeEnd(data []byte, i int) int {
	switch at(data, i+1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		for digit := i + 2; digit < i+6; digit++ {
			if !isHexDigit(at(data, digit)) {
				return ^digit
			}
		}
		return i + 6
	}
	return ^(i + 1)
}

// numberEnd is behind a number, which has no leading zeros and a digit on each side of its point.
func numberEnd(data []byte, i int) int {
	if data[i] == '-' {
		i++
	}
	digits := i
	i = skipDigits(data, i)
	if i == digits || data[digits] == '0' && i > digits+1 {
		return ^digits
	}
	if at(data, i) == '.' {
		fraction := i + 1
		if i = skipDigits(data, fraction); i == fraction {
			return ^i
		}
	}
	if c := at(data, i); c == 'e' || c == 'E' {
		exponent := i + 1
		if c := at(data, exponent); c == '+' || c == '-' {
			exponent++
		}
		if i = skipDigits(data, exponent); i == exponent {
			return ^i
		}
	}
	return i
}

func skipDigits(data []byte, i int) int {
	for isDigit(at(data, i)) {
		i++
	}
	return i
}

// unquote returns a copy of the text between a string's quotes, which the scanner has accepted, with its escapes resolved.
// Half a surrogate pair becomes U+FFFD, as it does in the API server.
func unquote(text []byte) string {
	escape := bytes.IndexByte(text, '\\')
	if escape < 0 {
		return string(text)
	}
	out := append(make([]byte, 0, len(text)), text[:escape]...)
	for i := escape; i < len(text); {
		if text[i] != '\\' {
			out = append(out, text[i])
			i++
			continue
		}
		switch c := text[i+1]; c {
		case 'u':
			r := hexRune(text[i+2:])
			i += 6
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if at(text, i) == '\\' && at(text, i+1) == 'u' {
					pair = utf16.DecodeRune(r, hexRune(text[i+2:]))
				}
				if r = pair; pair != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, unescaped[c])
			i += 2
		}
	}
	return string(out)
}

// unescaped is what the letter behind a backslash stands for.
var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func hexRune(digits []byte) rune {
	var r rune
	for _, c := range digits[:4] {
		if isDigit(c) {
			r = r<<4 | rune(c-'0')
		} else {
			r = r<<4 | rune((c|0x20)-'a'+10)
		}
	}
	return r
}
