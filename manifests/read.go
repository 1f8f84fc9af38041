package manifests

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Set is what was read.
type Set struct {
	DaemonSets []DaemonSet
	Policies   []Policy
	Namespaces []corev1.Namespace
	Nodes      []*corev1.Node
	// Pods is those that a cluster has, as kubectl get prints them. They count among the others too.
	Pods []*corev1.Pod
	// Problems is what is wrong with objects that could be read all the same.
	Problems []Problem
	// Others is the number of objects of other kinds.
	Others int
}

// extensions are those of the files that are read in a folder, as kubectl does.
var extensions = []string{".json", ".yaml", ".yml"}

// ReadPath reads a file, the files of a folder and of those in it, or standard input where the path is "-". The error names the
// file and the line, and says that nothing of it can be used.
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
	return filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains(extensions, filepath.Ext(path)) {
			return err
		}
		return s.readFile(path)
	})
}

func (s *Set) readFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	return s.read(path, file)
}

func (s *Set) read(name string, from io.Reader) error {
	content, err := io.ReadAll(from)
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
