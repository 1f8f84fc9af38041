package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// document is one of a file's YAML documents.
type document struct {
	file string
	// before is the number of the file's lines that come before it.
	before int
	text   string
	// json is the document where it is one in JSON.
	json json.RawMessage
	// source is the template that it comes from, where helm template says so.
	source string
}

// split finds the documents: between lines that begin with "---" or are "...", and JSON objects that follow one another. Helm's
// comment "# Source:" counts for the document that it stands in.
func split(file, content string) []document {
	var documents []document
	d := document{file: file}
	number, begins, ends := 0, 0, 0
	for line := range strings.Lines(content) {
		number++
		ends += len(line)
		if marker := markerOf(line); marker > 0 {
			d.text = content[begins : ends-len(line)]
			documents = d.appendTo(documents)
			d, begins = document{file: file, before: number}, ends
			if space := beside.FindString(line[marker:]); space != "" {
				d.before, begins = number-1, ends-len(line)+marker+len(space)-1
			}
			continue
		}
		if source, found := strings.CutPrefix(line, "# Source: "); found && d.source == "" {
			d.source = strings.TrimSpace(source)
		}
	}
	d.text = content[begins:]
	return d.appendTo(documents)
}

// beside is what a document begins with on the line of its marker, which YAML knows and kubectl does not read.
var beside = regexp.MustCompile(`^[ \t]+[^ \t\r\n#]`)

// markerOf is the length of what ends a document on this line; 0 where nothing does.
func markerOf(line string) int {
	if strings.HasPrefix(line, "---") || strings.TrimRight(line, " \t\r\n") == "..." {
		return len("---")
	}
	return 0
}

// appendTo adds the document, or the JSON objects that it is a stream of.
func (d document) appendTo(documents []document) []document {
	if !strings.HasPrefix(strings.TrimSpace(d.text), "{") {
		return append(documents, d)
	}
	stream := documents
	for decoder, begins := json.NewDecoder(strings.NewReader(d.text)), int64(0); ; begins = decoder.InputOffset() {
		part := d
		err := decoder.Decode(&part.json)
		if errors.Is(err, io.EOF) {
			return stream
		}
		if err != nil {
			return append(documents, d) // YAML begins with a brace too
		}
		part.text = d.text[begins:decoder.InputOffset()]
		stream = append(stream, part)
		d.before += strings.Count(part.text, "\n")
	}
}

// parse returns the document as JSON, and as nodes that know their lines; nil where there is nothing in it but comments.
func (d *document) parse() (raw []byte, root *yaml.Node, err error) {
	text := d.text
	if d.json != nil {
		text = yamlEscapes(text)
	}
	var parsed yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&parsed); errors.Is(err, io.EOF) || err == nil && isNull(&parsed) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, d.failed(err)
	}
	root = parsed.Content[0]
	if d.json != nil {
		var compact bytes.Buffer
		err = json.Compact(&compact, d.json)
		return compact.Bytes(), root, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, nil, d.failed(errors.Join(err, errors.New("more than one document: write --- between them")))
	}
	if key := keyOfNoText(root); key != nil {
		return nil, nil, d.failed(fmt.Errorf("yaml: line %d: a key is no text", key.Line))
	}
	// The values by kubectl's own parser, for which "yes" is a boolean.
	raw, err = sigsyaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, nil, d.failed(err)
	}
	return raw, root, nil
}

func isNull(document *yaml.Node) bool {
	return len(document.Content) == 0 || document.Content[0].Tag == "!!null"
}

// jsonEscape is one character that JSON writes in a way that the YAML parser does not read: a slash, and half of a UTF-16 pair.
var jsonEscape = regexp.MustCompile(`\\(?:u[dD][89a-fA-F][0-9a-fA-F]{2}|.)`)

// yamlEscapes is JSON for the YAML parser, which is asked for the lines and not for the values.
func yamlEscapes(text string) string {
	return jsonEscape.ReplaceAllStringFunc(text, func(escape string) string {
		switch {
		case escape == `\/`:
			return "/"
		case len(escape) > len(`\u`):
			return "?"
		}
		return escape
	})
}

// keyOfNoText is a key of a mapping that is a mapping or a list itself, as a Helm template has them; nil where there is none.
func keyOfNoText(node *yaml.Node) *yaml.Node {
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 && (child.Kind == yaml.MappingNode || child.Kind == yaml.SequenceNode) {
			return child
		}
		if found := keyOfNoText(child); found != nil {
			return found
		}
	}
	return nil
}

var (
	// lineNumber is where an error of the YAML parser says in which line of the document it is.
	lineNumber = regexp.MustCompile(`\bline (\d+)`)
	// countedFromZero are the errors in which it counts lines from 0 (go.yaml.in/yaml/v3 decode.go, parser.fail).
	countedFromZero = regexp.MustCompile(`did not find expected (<|node content|key|'-' indicator|',' or)`)
	// unknownAnchor is the error that has no line.
	unknownAnchor = regexp.MustCompile(`unknown anchor '([^']*)'`)
)

// failed names the file and, in place of the document's lines, the file's.
func (d *document) failed(err error) error {
	said := err.Error()
	if anchor := unknownAnchor.FindStringSubmatch(said); anchor != nil {
		upTo, _, _ := strings.Cut(d.text, "*"+anchor[1])
		said = fmt.Sprintf("yaml: line %d: %s", 1+strings.Count(upTo, "\n"), strings.TrimPrefix(said, "yaml: "))
	}
	first := 0
	if countedFromZero.MatchString(said) {
		first = 1
	}
	if rest, found := strings.CutPrefix(said, "yaml: "); found && !lineNumber.MatchString(said) {
		said = fmt.Sprintf("yaml: line %d: %s", 1-first, rest) // what it leaves out where it is the first
	}
	last := strings.Count(strings.TrimRight(d.text, "\n"), "\n") + 1
	said = lineNumber.ReplaceAllStringFunc(said, func(line string) string {
		n, _ := strconv.Atoi(line[len("line "):])
		return "line " + strconv.Itoa(d.before+min(n+first, last))
	})
	if strings.Contains(d.text, "{{") {
		said += ": if this is a Helm template, render it: helm template … | berth … -f -"
	}
	return fmt.Errorf("%s: %s", d.file, strings.Join(strings.Fields(said), " "))
}
