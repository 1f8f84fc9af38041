package manifests

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Place is where something stands.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	// Source is the template that it was rendered from, where helm template says so.
	Source string `json:"source,omitempty"`
}

// String is as compilers write it.
func (p Place) String() string {
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// place is where the object begins.
func (d *document) place(node *yaml.Node) Place {
	return Place{File: d.file, Line: d.before + node.Line, Column: node.Column, Source: d.source}
}

// located is an object in its document.
type located struct {
	document *document
	node     *yaml.Node
}

// Field returns the place of a field, such as spec.template.spec.nodeSelector[pool], or of the closest field around it that is
// there.
func (l located) Field(path string) Place {
	if l.document == nil {
		return Place{File: "(cluster)"}
	}
	node := l.node
	at := l.document.place(node)
	for _, step := range steps(path) {
		key, next := child(node, step)
		if next == nil {
			break
		}
		node = next
		at = l.document.place(key)
	}
	return at
}

// steps splits spec.matchConditions[0].expression into its members and indices. A key in brackets is one step, dots and all.
func steps(path string) []string {
	var all []string
	for path != "" {
		switch end := strings.IndexAny(path, ".["); {
		case path[0] == '[':
			key, rest, _ := strings.Cut(path[1:], "]")
			all = append(all, key)
			path = strings.TrimPrefix(rest, ".")
		case end < 0:
			return append(all, path)
		default:
			all = append(all, path[:end])
			path = strings.TrimPrefix(path[end:], ".")
		}
	}
	return all
}

// child returns the member or item, and the node where it begins: its key.
func child(node *yaml.Node, step string) (key, value *yaml.Node) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i], node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	case yaml.DocumentNode, yaml.ScalarNode, yaml.AliasNode:
	}
	return nil, nil
}
