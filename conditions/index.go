package conditions

import (
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// index is indexOf or lastIndexOf: of strings in linear time, which CEL's take the product of their lengths for.
func index(name string, lists *functions.Overload) functions.FunctionOp {
	return func(args ...ref.Val) ref.Val {
		s, isString := args[0].(types.String)
		substring, isText := args[1].(types.String)
		if !isString || !isText {
			return apply(lists, name, args)
		}
		offset, hasOffset := types.Int(0), len(args) == 3
		if hasOffset {
			offset, isText = args[2].(types.Int)
			if !isText {
				return types.MaybeNoSuchOverloadErr(args[2])
			}
		}
		if offset < 0 {
			return types.NewErr("index out of range: %d", offset)
		}
		if name == "lastIndexOf" {
			return lastIndexOf(string(s), string(substring), int(offset), hasOffset)
		}
		return indexOf(string(s), string(substring), int(offset))
	}
}

// indexOf is the character at which substring is first in s, from the character offset on.
func indexOf(s, substring string, offset int) ref.Val {
	if substring == "" {
		return types.Int(min(offset, utf8.RuneCountInString(s)))
	}
	from := byteOf(s, offset)
	at := strings.Index(s[from:], substring)
	if at < 0 {
		return types.IntNegOne
	}
	return types.Int(utf8.RuneCountInString(s[:from+at]))
}

// lastIndexOf is the character at which substring is last in s, up to the character offset if there is one.
func lastIndexOf(s, substring string, offset int, hasOffset bool) ref.Val {
	until := len(s)
	switch {
	case substring == "" && hasOffset:
		return types.Int(min(offset, utf8.RuneCountInString(s)))
	case substring == "":
		return types.Int(utf8.RuneCountInString(s))
	case hasOffset:
		at := byteOf(s, offset)
		if at == len(s) {
			return types.IntNegOne
		}
		until = min(until, at+len(substring))
	}
	at := strings.LastIndex(s[:until], substring)
	if at < 0 {
		return types.IntNegOne
	}
	return types.Int(utf8.RuneCountInString(s[:at]))
}

// byteOf is where the character at offset begins, or the end.
func byteOf(s string, offset int) int {
	for at := range s {
		if offset == 0 {
			return at
		}
		offset--
	}
	return len(s)
}
