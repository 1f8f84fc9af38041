package manifests

import (
	"fmt"
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
	// source is the template that it comes from, where helm template says so.
	source string
}

// split finds the documents as kubectl does: at lines that begin with "---". Helm's comment "# Source:" counts for the document
// that it stands in.
func split(file, content string) []document {
	var documents []document
	d := document{file: file}
	number, begins, ends := 0, 0, 0
	for line := range strings.Lines(content) {
		number++
		ends += len(line)
		if strings.HasPrefix(line, "---") {
			d.text = content[begins : ends-len(line)]
			documents = append(documents, d)
			d, begins = document{file: file, before: number}, ends
			continue
		}
		if source, found := strings.CutPrefix(line, "# Source: "); found && d.source == "" {
			d.source = strings.TrimSpace(source)
		}
	}
	d.text = content[begins:]
	return append(documents, d)
}

// lineNumber is where an error of the YAML parser says in which line of the document it is.
var lineNumber = regexp.MustCompile(`\bline (\d+)`)

// parse returns the document as JSON, and as nodes that know their lines; nil where there is nothing in it but comments.
func (d *document) parse() (json []byte, root *yaml.Node, err error) {
	var parsed yaml.Node
	if err := yaml.Unmarshal([]byte(d.text), &parsed); err != nil {
		return nil, nil, d.failed(err)
	}
	if len(parsed.Content) == 0 || parsed.Content[0].Tag == "!!null" {
		return nil, nil, nil
	}
	// The values by kubectl's own parser, for which "yes" is a boolean.
	json, err = sigsyaml.YAMLToJSONStrict([]byte(d.text))
	if err != nil {
		return nil, nil, d.failed(err)
	}
	return json, parsed.Content[0], nil
}

// failed names the file and, in place of the document's lines, the file's.
func (d *document) failed(err error) error {
	text := lineNumber.ReplaceAllStringFunc(err.Error(), func(line string) string {
		n, _ := strconv.Atoi(line[len("line "):])
		return "line " + strconv.Itoa(n+d.before)
	})
	return fmt.Errorf("%s: %s", d.file, strings.Join(strings.Fields(text), " "))
}
