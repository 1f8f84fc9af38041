package placement

import (
	"encoding/json"
	"maps"
	"slices"
)

// Patch is a JSON patch (RFC 6902) of a DaemonSet, in the order in which it
// applies. It adds leaves, or parents that the object does not have, and removes
// what berth itself has added earlier, so that fields which it does not know survive.
type Patch []Operation

// The operations of a patch.
const (
	Add    = "add"
	Remove = "remove"
)

// Operation adds Value at Path, or removes what is there.
type Operation struct {
	// Op is Add or Remove.
	Op string
	// Path is a JSON pointer (RFC 6901).
	Path string
	// Value is a string or a value that encoding/json can encode.
	Value any
}

// AppendJSON appends the patch's JSON form to b and returns the result. An
// empty patch is [].
func (p Patch) AppendJSON(b []byte) []byte {
	b = append(b, '[')
	for i, op := range p {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"op":"`...)
		b = append(b, op.Op...)
		b = append(b, `","path":`...)
		b = appendString(b, op.Path)
		if op.Op == Add {
			b = append(b, `,"value":`...)
			b = appendValue(b, op.Value)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendValue(b []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return appendString(b, v)
	case map[string]string:
		return appendLabels(b, v)
	}
	encoded, _ := json.Marshal(value) // Of k8s.io/api types, strings all the way down: cannot fail.
	return append(b, encoded...)
}

func appendLabels(b []byte, labels map[string]string) []byte {
	b = append(b, '{')
	for i, key := range slices.Sorted(maps.Keys(labels)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, key), ':')
		b = appendString(b, labels[key])
	}
	return append(b, '}')
}

// appendString appends s as a JSON string. Labels and pointers need no escape
// but the quotes of the injected annotation; the rest is encoding/json's.
func appendString(b []byte, s string) []byte {
	start := len(b)
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			encoded, _ := json.Marshal(s) // A string always encodes.
			return append(b[:start], encoded...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
