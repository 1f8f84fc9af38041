package cluster

import (
	"math/bits"
	"slices"
)

const wordBits = 64

// nodeSet is an immutable set of node ids. A label value that one node has
// (kubernetes.io/hostname) must not cost a bitmap over all nodes, and one that
// all nodes have (kubernetes.io/os) must not cost an id a node: a set is held as
// ids only while they are fewer than half the words of its bitmap.
type nodeSet struct {
	n     int
	ids   []uint32 // ascending; nil when the set is a bitmap
	words bitmap
}

// bitmap has bit id%64 of word id/64 set for each id in it. Words beyond its
// length are zero.
type bitmap []uint64

func newNodeSet(ids []uint32) nodeSet {
	if len(ids) == 0 {
		return nodeSet{}
	}
	last := int(ids[len(ids)-1])
	if 2*wordBits*len(ids) <= last {
		return nodeSet{n: len(ids), ids: slices.Clip(ids)}
	}
	words := make(bitmap, last/wordBits+1)
	for _, id := range ids {
		words[id/wordBits] |= 1 << (id % wordBits)
	}
	return nodeSet{n: len(ids), words: words}
}

// with is the set without the ids in remove and then with those in add, both
// ascending: an id that one node gave up and another took over in the same
// batch stays.
func (s nodeSet) with(add, remove []uint32) nodeSet {
	ids := make([]uint32, 0, s.n+len(add))
	s.each(func(id uint32) {
		for len(add) > 0 && add[0] < id {
			ids, add = append(ids, add[0]), add[1:]
		}
		if len(add) > 0 && add[0] == id {
			ids, add = append(ids, id), add[1:]
			return
		}
		if _, gone := slices.BinarySearch(remove, id); !gone {
			ids = append(ids, id)
		}
	})
	return newNodeSet(append(ids, add...))
}

func (s nodeSet) each(visit func(uint32)) {
	for _, id := range s.ids {
		visit(id)
	}
	for i, word := range s.words {
		for ; word != 0; word &= word - 1 {
			visit(uint32(i*wordBits + bits.TrailingZeros64(word))) //nolint:gosec // ids are uint32, so is every bit's place
		}
	}
}

// addTo is a union: it sets the bits of s in b, which has room for every id.
func (s nodeSet) addTo(b bitmap) {
	for i, word := range s.words {
		b[i] |= word
	}
	for _, id := range s.ids {
		b[id/wordBits] |= 1 << (id % wordBits)
	}
}

// removeFrom is a difference: it clears the bits of s in b.
func (s nodeSet) removeFrom(b bitmap) {
	for i, word := range s.words {
		b[i] &^= word
	}
	for _, id := range s.ids {
		b[id/wordBits] &^= 1 << (id % wordBits)
	}
}

// keepIn is an intersection: it clears the bits of b that s has not.
func (s nodeSet) keepIn(b bitmap) {
	for i, word := range s.words {
		b[i] &= word
	}
	done := len(s.words)
	for rest := s.ids; len(rest) > 0; {
		at := int(rest[0] / wordBits)
		var word uint64
		for ; len(rest) > 0 && int(rest[0]/wordBits) == at; rest = rest[1:] {
			word |= 1 << (rest[0] % wordBits)
		}
		clear(b[done:at])
		b[at] &= word
		done = at + 1
	}
	clear(b[done:])
}

// countIn is the size of the intersection of s and b.
func (s nodeSet) countIn(b bitmap) int {
	n := 0
	for i, word := range s.words {
		n += bits.OnesCount64(word & b[i])
	}
	for _, id := range s.ids {
		if b.has(id) {
			n++
		}
	}
	return n
}

func (b bitmap) has(id uint32) bool { return b[id/wordBits]&(1<<(id%wordBits)) != 0 }

func (b bitmap) drop(id uint32) { b[id/wordBits] &^= 1 << (id % wordBits) }

// keepOne clears all bits but that of one id, which may not exist.
func (b bitmap) keepOne(id uint32, exists bool) {
	kept := exists && b.has(id)
	clear(b)
	if kept {
		b[id/wordBits] = 1 << (id % wordBits)
	}
}

// keep is an intersection of two bitmaps of one length.
func (b bitmap) keep(other bitmap) {
	for i := range b {
		b[i] &= other[i]
	}
}

// remove is a difference of two bitmaps of one length.
func (b bitmap) remove(other bitmap) {
	for i := range b {
		b[i] &^= other[i]
	}
}

// countIn is the size of the intersection of two bitmaps of one length.
func (b bitmap) countIn(other bitmap) int {
	n := 0
	for i := range b {
		n += bits.OnesCount64(b[i] & other[i])
	}
	return n
}

// add is a union of two bitmaps of one length.
func (b bitmap) add(other bitmap) {
	for i := range b {
		b[i] |= other[i]
	}
}

func (b bitmap) count() int {
	n := 0
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}
