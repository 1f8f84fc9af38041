package manifests

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
)

// Set is what was read.
type Set struct {
	DaemonSets []DaemonSet
	Policies   []Policy
	Namespaces []corev1.Namespace
	Nodes      []*corev1.Node
	// Pods is those that a cluster has, as kubectl get prints them. They count among the others too.
	Pods []*corev1.Pod
	// LimitRanges and RuntimeClasses are those of a cluster too, and count among the others.
	LimitRanges    []corev1.LimitRange
	RuntimeClasses []nodev1.RuntimeClass
	// Problems is what is wrong with objects that could be read all the same.
	Problems []Problem
	// Others is the number of objects of other kinds.
	Others int

	files map[string]bool // that have been read
	named map[string]int  // where in its list an object of this kind and name is
}

// extensions are those of the files that are read in a folder, as kubectl does.
var extensions = []string{".json", ".yaml", ".yml"}

// ReadPath reads a file, the files of a folder and of those in it, or standard input where the path is "-". What is read already
// is not read again, and what begins with a dot is left out of a folder. The error names the file and the line, and says that
// nothing of it can be used.
func (s *Set) ReadPath(path string, stdin io.Reader) error {
	if path == "-" {
		return s.read("(stdin)", stdin)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return s.readFile(path)
	}
	root := path + string(filepath.Separator) // follows a link
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch hidden := path != root && strings.HasPrefix(entry.Name(), "."); {
		case err != nil:
			return err
		case hidden && entry.IsDir():
			return fs.SkipDir
		case hidden || entry.IsDir() || !slices.Contains(extensions, filepath.Ext(path)):
			return nil
		}
		return s.readFile(path)
	})
}

func (s *Set) readFile(path string) error {
	if resolved, err := filepath.EvalSymlinks(path); err == nil { // that of a pipe cannot be resolved
		if resolved, err = filepath.Abs(resolved); err != nil {
			return err
		}
		if s.files[resolved] {
			return nil
		}
		if s.files == nil {
			s.files = map[string]bool{}
		}
		s.files[resolved] = true
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	return s.read(path, file)
}

func (s *Set) read(name string, from io.Reader) error {
	// A file of PowerShell says by its first character that it is in UTF-16.
	content, err := io.ReadAll(transform.NewReader(from, unicode.BOMOverride(encoding.Nop.NewDecoder())))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, d := range split(name, string(content)) {
		if err := s.add(d); err != nil {
			return err
		}
	}
	return nil
}
