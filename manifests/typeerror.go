package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mistyped is a value of another type than its field.
type mistyped struct {
	field   string // its path, as far as it is known
	message string
}

func (m *mistyped) Error() string { return strings.TrimPrefix(m.field+": "+m.message, ": ") }

// typeError says in the words of YAML what encoding/json says in those of Go, and where in the object it is.
func typeError(err error, object *yaml.Node) *mistyped {
	typed, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return &mistyped{message: strings.TrimPrefix(err.Error(), "json: ")}
	}
	wanted, quote := wordOf[typed.Type.Kind()], ""
	value, digits, _ := strings.Cut(typed.Value, " ") // of "number 1.5"
	if wanted == text && (value == "bool" || value == "number") {
		quote = ": put it in quotes"
	}
	m := &mistyped{typed.Field, fmt.Sprintf("must be %s, and is %s%s", wanted, valueWords[value], quote)}
	if wanted == valueWords[value] {
		m.message = fmt.Sprintf("%s does not fit: must be a smaller number, or a whole one", digits)
	}
	if path, found := wanted.misfit(object, "", strings.FieldsFunc(typed.Field, func(r rune) bool { return r == '.' })); found {
		m.field = path
	}
	return m
}

// word is what a type is called in YAML.
type word string

const (
	text    word = "text"
	truth   word = "true or false"
	number  word = "a number"
	list    word = "a list"
	mapping word = "an object"
)

var (
	wordOf = map[reflect.Kind]word{
		reflect.String: text, reflect.Bool: truth, reflect.Int: number, reflect.Int32: number, reflect.Int64: number, reflect.Float64: number,
		reflect.Slice: list, reflect.Map: mapping, reflect.Struct: mapping, reflect.Pointer: mapping,
	}
	valueWords = map[string]word{"string": text, "bool": truth, "number": number, "array": list, "object": mapping}

	// truths are those of YAML 1.1, which kubectl reads, and which are text to the parser that knows the lines.
	truths = regexp.MustCompile(`^(y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF)$`)
)

// misfit is the path of the first value that is not of this type, of those that encoding/json means: it leaves out indices and the
// keys of maps.
func (w word) misfit(node *yaml.Node, path string, steps []string) (found string, ok bool) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch scalar := w != list && w != mapping; {
	case len(steps) == 0 && w.fits(node):
		return "", false
	case len(steps) > 0 && node.Kind == yaml.MappingNode:
		_, value := child(node, steps[0])
		if value == nil {
			return "", false
		}
		return w.misfit(value, strings.TrimPrefix(path+"."+steps[0], "."), steps[1:])
	case len(steps) > 0 && node.Kind == yaml.SequenceNode, len(steps) == 0 && node.Kind != yaml.ScalarNode && scalar:
		for key, value := range values(node) {
			if found, ok = w.misfit(value, path+key, steps); ok {
				return found, true
			}
		}
		return "", false
	}
	return path, len(steps) == 0
}

// values are the items of a list, or the members of an object, with the last part of their paths.
func values(node *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		for i, child := range node.Content {
			switch {
			case node.Kind == yaml.SequenceNode && !yield(fmt.Sprintf("[%d]", i), child):
				return
			case node.Kind == yaml.MappingNode && i%2 == 1 && !yield("["+node.Content[i-1].Value+"]", child):
				return
			}
		}
	}
}

func (w word) fits(node *yaml.Node) bool {
	isTruth := node.Tag == "!!bool" || node.Style == 0 && truths.MatchString(node.Value)
	switch {
	case node.Tag == "!!null":
		return true
	case w == text:
		return node.Tag == "!!str" && !isTruth
	case w == truth:
		return isTruth
	case w == number:
		return node.Tag == "!!int" || node.Tag == "!!float"
	case w == list:
		return node.Kind == yaml.SequenceNode
	}
	return node.Kind == yaml.MappingNode
}
