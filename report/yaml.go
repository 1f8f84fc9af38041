package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// YAML is JSON as YAML. Characters that YAML does not take as they are, and JSON does, are escaped.
func YAML(raw []byte) ([]byte, error) {
	if !json.Valid(raw) {
		return nil, fmt.Errorf("not JSON: %.40q", raw)
	}
	var escaped strings.Builder
	for text := string(raw); text != ""; {
		r, size := utf8.DecodeRuneInString(text)
		if unprintable(r) { // inside a string: nowhere else does JSON have it
			fmt.Fprintf(&escaped, `\u%04x`, r)
		} else {
			escaped.WriteString(text[:size])
		}
		text = text[size:]
	}
	return yaml.JSONToYAML([]byte(escaped.String()))
}

// unprintable is what the YAML parser refuses (go.yaml.in/yaml/v2 readerc.go), but for what JSON refuses too.
func unprintable(r rune) bool {
	return r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfeff || r == 0xfffe || r == 0xffff
}
