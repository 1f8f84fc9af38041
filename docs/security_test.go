// Package docs tests what the documents say of the repository.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// minAttacks is the number of attacks that the table is never to fall below.
const minAttacks = 60

var (
	attackRow    = regexp.MustCompile("(?m)^\\| (.+) \\| (.+) \\| ((?:`Test\\w+`(?:, )?)+) \\|$")
	testName     = regexp.MustCompile(`\bTest\w+`)
	testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

func TestEveryAttackInTheTableHasATestThatExists(t *testing.T) {
	security, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(security), "\n## Attacks, each with its test\n")
	if !found {
		t.Fatal("security.md has no section Attacks, each with its test")
	}
	attacks, seen := 0, map[string]bool{}
	exists := testsOfTheRepository(t)
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| attack |") || strings.HasPrefix(line, "| --- |") {
			continue
		}
		row := attackRow.FindStringSubmatch(line)
		if row == nil {
			t.Errorf("want | attack | what comes of it | `TestName` |, got %s", line)
			continue
		}
		if seen[row[1]] {
			t.Errorf("the attack is there twice: %s", row[1])
		}
		seen[row[1]] = true
		attacks++
		for _, name := range testName.FindAllString(row[3], -1) {
			if !exists[name] {
				t.Errorf("%s: there is no %s", row[1], name)
			}
		}
	}
	if attacks < minAttacks {
		t.Errorf("the table has %d attacks, want at least %d", attacks, minAttacks)
	}
}

// testsOfTheRepository are the names of all test functions.
func testsOfTheRepository(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, function := range testFunction.FindAllStringSubmatch(string(source), -1) {
			names[function[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
