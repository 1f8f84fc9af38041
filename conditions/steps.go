package conditions

import (
	"fmt"
	"math/bits"
	"regexp"
	"strings"

	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// stepsOf says of the functions of the environment how many steps a call takes. Those that are not here take a constant number,
// or are linear and charged by CEL or by CallCost: arithmetic, comparison and concatenation, contains, startsWith, conversions, url,
// ip, cidr, semver, format.named.
var stepsOf = map[string]func(args []ref.Val) int{
	operators.Equals:    func(args []ref.Val) int { return min(weight(args[0]), weight(args[1])) },
	operators.NotEquals: func(args []ref.Val) int { return min(weight(args[0]), weight(args[1])) },
	operators.In:        func(args []ref.Val) int { return membership(args[1], args[0]) },
	"includes":          func(args []ref.Val) int { return membership(args[0], args[1]) },
	"indexOf":           search,
	"lastIndexOf":       search,
	"sets.contains":     pairs,
	"sets.equivalent":   func(args []ref.Val) int { return 2 * pairs(args) },
	"sets.intersects":   pairs,
	"distinct":          func(args []ref.Val) int { return product(sizeOf(args[0]), weight(args[0])) },
	"sort":              func(args []ref.Val) int { return sorting(args[0]) },
	"@sortByAssociatedKeys": func(args []ref.Val) int {
		return sorting(args[1])
	},
	"isSorted":      whole,
	"sum":           whole,
	"min":           whole,
	"max":           whole,
	"flatten":       whole,
	"slice":         whole,
	"reverse":       whole,
	"size":          ofText,
	"charAt":        ofText,
	"substring":     ofText,
	"lowerAscii":    ofText,
	"upperAscii":    ofText,
	"trim":          ofText,
	"strings.quote": ofText,
	"split":         func(args []ref.Val) int { return product(len(text(args[0])), valueSteps) },
	"lists.range":   ranging,
	"replace":       replacing,
	"join":          joining,
	"format":        formatting,
	"quantity":      quantity,
	"isQuantity":    quantity,
}

// lengthOf is how many bytes a string has, or bytes have.
func lengthOf(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v)
	case types.Bytes:
		return len(v)
	}
	return 0
}

func text(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

// sizeOf is how many elements a list has.
func sizeOf(v ref.Val) int {
	if list, isList := v.(traits.Lister); isList {
		if size, isInt := list.Size().(types.Int); isInt {
			return int(size)
		}
	}
	return 0
}

// product is a*b, or too much.
func product(a, b int) int {
	if high, low := bits.Mul64(uint64(a), uint64(b)); high == 0 && low < tooMuch { //nolint:gosec // neither is negative
		return int(low)
	}
	return tooMuch
}

// walk adds up what leaf says of a value and of all that it contains, until that is too much. A list may contain another many
// times, and that one yet another: it is as large as if it were written out. So leaf says no zero.
func walk(v ref.Val, leaf func(ref.Val) int) int {
	sum := 0
	var visit func(ref.Val)
	visit = func(v ref.Val) {
		sum = min(sum+leaf(v), tooMuch)
		switch v := v.(type) {
		case *types.Optional:
			if v.HasValue() {
				visit(v.GetValue())
			}
		case traits.Lister:
			for it := v.Iterator(); sum <= maxSteps && it.HasNext() == types.True; {
				visit(it.Next())
			}
		case traits.Mapper:
			for it := v.Iterator(); sum <= maxSteps && it.HasNext() == types.True; {
				key := it.Next()
				visit(key)
				visit(v.Get(key))
			}
		}
	}
	visit(v)
	return sum
}

// weight is how many steps it takes to look at all of a value.
func weight(v ref.Val) int {
	return walk(v, func(v ref.Val) int {
		return valueSteps + lengthOf(v)/8
	})
}

func whole(args []ref.Val) int  { return weight(args[0]) }
func ofText(args []ref.Val) int { return len(text(args[0])) }

// sorting is how many steps it takes to sort a list by its elements.
func sorting(list ref.Val) int { return product(weight(list), bits.Len(uint(sizeOf(list)))) }

// membership is how many steps it takes to compare an element with all of a list.
func membership(list, element ref.Val) int {
	if _, isList := list.(traits.Lister); !isList {
		return valueSteps
	}
	return min(weight(list), product(1+sizeOf(list), weight(element)))
}

// pairs is how many steps it takes to compare all elements of a list with all of another.
func pairs(args []ref.Val) int {
	a, b := args[0], args[1]
	return min(product(weight(a), 1+sizeOf(b)), product(weight(b), 1+sizeOf(a)))
}

// search is how many steps it takes to look for a text in another, or for an element in a list.
func search(args []ref.Val) int {
	if s, isString := args[0].(types.String); isString {
		return len(s) + len(text(args[1]))
	}
	return membership(args[0], args[1])
}

func ranging(args []ref.Val) int {
	n, _ := args[0].(types.Int)
	if n > maxElements {
		return tooMuch
	}
	return max(int(n), 0) * valueSteps
}

// making is how many steps it takes to make a text of so many bytes.
func making(size int) int {
	if size > maxString {
		return tooMuch
	}
	return size
}

func replacing(args []ref.Val) int {
	s, old, by := text(args[0]), text(args[1]), text(args[2])
	count := strings.Count(s, old)
	if len(args) == 4 {
		if most, _ := args[3].(types.Int); most >= 0 {
			count = int(min(most, types.Int(count)))
		}
	}
	return max(len(s), making(min(len(s)+product(count, len(by))-count*len(old), tooMuch)))
}

func joining(args []ref.Val) int {
	size := walk(args[0], func(v ref.Val) int { return 1 + len(text(v)) })
	if len(args) == 2 {
		size += product(sizeOf(args[0]), len(text(args[1])))
	}
	return max(sizeOf(args[0]), making(size))
}

// precision is what a format asks for: %.3f
var precision = regexp.MustCompile(`%\.[0-9]*`)

// formatting bounds what format makes: a text may be quoted, and escaped to four bytes each; a number may have 309 digits before its point.
func formatting(args []ref.Val) int {
	size := len(text(args[0]))
	for _, clause := range precision.FindAllString(text(args[0]), -1) {
		digits := 0
		if _, err := fmt.Sscan(clause[2:], &digits); err != nil && len(clause) > 2 || digits > 100 {
			return tooMuch
		}
		size += digits
	}
	return making(size + walk(args[1], func(v ref.Val) int {
		if v.Type() == types.DoubleType {
			return 320
		}
		return 64 + 4*lengthOf(v)
	}))
}

// quantity refuses what is no quantity that anyone writes: an exponent is a power of ten that is computed.
func quantity(args []ref.Val) int {
	s := text(args[0])
	if len(s) > maxQuantity {
		return tooMuch
	}
	if at := strings.LastIndexAny(s, "eE"); at >= 0 && len(strings.TrimLeft(s[at+1:], "+-")) > 2 {
		return tooMuch
	}
	return maxQuantity
}
