package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// checkout copies what git knows of this repository, and what it does not ignore, to a folder of its own.
func checkout(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	shell(t, "../..", `git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
		if [ -e "$file" ]; then printf '%s\0' "$file"; fi
	done | tar -c --null -T - | tar -x -C '`+folder+`'`)
	return folder
}

// shell runs commands in a folder, and returns what they print.
func shell(t *testing.T, folder, commands string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = folder
	// As from a user's shell, and not from make test.
	cmd.Env = append(append(os.Environ(), "MAKELEVEL=", "MAKEFLAGS="), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", commands, err, stdout.Bytes(), stderr.Bytes())
	}
	return strings.TrimSpace(stdout.String())
}

// filesOf are the files of an image.
func filesOf(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	all := mutate.Extract(image)
	defer all.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(all); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "/")] = content
	}
}

// imageFor is the image of a platform in the layout of a checkout.
func imageFor(t *testing.T, index v1.ImageIndex, architecture string) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, descriptor := range manifest.Manifests {
		if descriptor.Platform.Architecture != architecture {
			continue
		}
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			t.Fatal(err)
		}
		return image
	}
	t.Fatalf("no image for %s", architecture)
	return nil
}

// layoutOf is what make image has written in a checkout.
func layoutOf(t *testing.T, folder string) v1.ImageIndex {
	t.Helper()
	index, err := readLayout(filepath.Join(folder, "bin", "image"))
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// installed skips the test where a program is not there.
func installed(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("no %s here: apt-get install %s", program, program)
	}
}
