package placement_test

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The core is a function. What it imports is what it can do.
func TestTheCoreImportsNothingThatActs(t *testing.T) {
	allowed := []string{
		"cmp", "crypto/sha256", "encoding/hex", "encoding/json", "fmt", "maps", "slices", "strconv", "strings",
		"k8s.io/api/", "k8s.io/apimachinery/", "k8s.io/component-helpers/", "berth.dev/berth/api/",
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
	imports:
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			for _, prefix := range allowed {
				if path == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix) {
					continue imports
				}
			}
			t.Errorf("%s imports %s: placement is pure, and this is not on its list", entry.Name(), path)
		}
	}
}
