package admission

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// decidedOn are the members of a pod spec that placement decides on: it compares them by value, and all else by bytes.
var decidedOn = []part{partNodeSelector, partTolerations, partAffinity}

// restChanged tells whether the templates differ in anything that placement does not decide on. The API server writes both
// with one encoder, which sorts maps: templates that are equal are equal bytes.
func (r *Review) restChanged() bool {
	updated, stored := r.values[partObject+partTemplate], r.values[partOldObject+partTemplate]
	if bytes.Equal(updated, stored) {
		return false
	}
	if at := commonPrefix(updated, stored); r.isRest(partObject, at) && r.isRest(partOldObject, at) {
		return true
	}
	for i, root := range []part{partObject, partOldObject} {
		r.rests[i] = r.appendRest(r.rests[i][:0], root)
	}
	return !bytes.Equal(r.rests[0], r.rests[1])
}

// commonPrefix is the number of bytes with which both begin.
func commonPrefix(a, b []byte) int {
	const stride = 64
	n := min(len(a), len(b))
	i := 0
	for i+stride <= n && bytes.Equal(a[i:i+stride], b[i:i+stride]) {
		i += stride
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// isRest tells whether the byte of the template belongs, for sure, to what placement does not decide on: it is part of a
// word, and in none of the members that placement decides on. The word null is not sure.
func (r *Review) isRest(root part, at int) bool {
	raw := r.values[root+partTemplate]
	if at >= len(raw) || at == 0 || !isAlphanumeric(raw[at]) || raw[at] == 'n' {
		return false
	}
	at += r.members[root+partTemplate].to - len(raw)
	for _, p := range decidedOn {
		if member := r.members[root+p]; r.values[root+p] != nil && member.from <= at && at < member.to {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool { return isDigit(c) || (c|0x20)-'a' < 26 }

// restDigests names what restChanged compares.
func (r *Review) restDigests() (updated, stored string) {
	for i, root := range []part{partObject, partOldObject} {
		if len(r.rests[i]) == 0 {
			r.rests[i] = r.appendRest(r.rests[i], root)
		}
	}
	name := func(rest []byte) string {
		sum := sha256.Sum256(rest)
		return hex.EncodeToString(sum[:])
	}
	return name(r.rests[0]), name(r.rests[1])
}

// appendRest appends a template without what placement decides on. Empty objects on the way to it are as good as none.
func (r *Review) appendRest(b []byte, root part) []byte {
	b = r.appendWithout(b, root+partTemplate, root+decidedOn[0], root+decidedOn[1], root+decidedOn[2])
	for _, object := range [][2]part{{partAffinity, partNodeAffinity}, {partNodeAffinity, partRequiredAffinity}} {
		b = append(b, '\n')
		start := len(b)
		if r.isObject(root + object[0]) {
			b = r.appendWithout(b, root+object[0], root+object[1])
		}
		if string(b[start:]) == "{}" {
			b = b[:start]
		}
	}
	return withoutNulls(b)
}

// appendWithout appends an object without some of the members in it.
func (r *Review) appendWithout(b []byte, object part, members ...part) []byte {
	raw := r.values[object]
	offset := r.members[object].to - len(raw)
	spans := make([]span, 0, len(decidedOn))
	for _, m := range members {
		if r.values[m] != nil {
			spans = append(spans, span{r.members[m].from - offset, r.members[m].to - offset})
		}
	}
	slices.SortFunc(spans, func(a, c span) int { return a.from - c.from })
	at := 0
	for _, s := range spans {
		b = bytes.TrimRight(append(b, raw[at:s.from]...), " \t\r\n")
		at = s.to
		// One of the commas around the member goes with it.
		if last := len(b) - 1; b[last] == ',' {
			b = b[:last]
		} else if next := skipSpace(raw, at); raw[next] == ',' {
			at = next + 1
		}
	}
	return append(b, raw[at:]...)
}

// withoutNulls writes null as []. The API server has the one for the other where a required list is empty: null in what it
// has read from etcd, and what the client wrote in what a client has sent.
func withoutNulls(b []byte) []byte {
	const null, list = `":null`, `":[]`
	found := bytes.Index(b, []byte(null))
	if found < 0 {
		return b
	}
	// Inside a string there is a backslash before the quote.
	kept := b[:0]
	for found >= 0 {
		kept = append(kept, b[:found]...)
		kept = append(kept, list...)
		b = b[found+len(null):]
		found = bytes.Index(b, []byte(null))
	}
	return append(kept, b...)
}
