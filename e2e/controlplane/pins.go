package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// pins is what decides the bytes of the binaries: a change in any of it makes a new folder.
type pins struct {
	module     string // the folder of the go.mod that pins Kubernetes
	kubernetes string // for example v1.37.2
	sums       []byte // go.mod and go.sum, for an older minor those of both modules
}

var kubernetesPin = regexp.MustCompile(`(?m)^(?:require)?\s*k8s\.io/kubernetes (v\d+\.\d+\.\d+\S*)`)

// readPins reads those of this module, or with a minor as "1.32" those of an older Kubernetes.
func readPins(root, minor string) (pins, error) {
	newest, err := readModule(root)
	if errors.Is(err, fs.ErrNotExist) {
		return pins{}, errors.New("no go.mod here: run it in its own folder, go run -C e2e/controlplane")
	}
	if err != nil || minor == "" || strings.HasPrefix(newest.kubernetes, "v"+minor+".") {
		return newest, err
	}
	older, err := readModule(filepath.Join(root, minor))
	if errors.Is(err, fs.ErrNotExist) {
		return pins{}, fmt.Errorf("no module for Kubernetes %q: the minors are the folders of e2e/controlplane, as 1.32", minor)
	}
	older.sums = slices.Concat(older.sums, newest.sums)
	return older, err
}

func readModule(module string) (pins, error) {
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return pins{}, err
	}
	sum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return pins{}, err
	}
	pin := kubernetesPin.FindSubmatch(mod)
	if pin == nil {
		return pins{}, fmt.Errorf("%s does not pin k8s.io/kubernetes", filepath.Join(module, "go.mod"))
	}
	return pins{module: module, kubernetes: string(pin[1]), sums: slices.Concat(mod, sum)}, nil
}

// key names the folder: readable first, exact after.
func (p pins) key() string {
	hash := sha256.New()
	hash.Write(p.sums)
	fmt.Fprintln(hash, runtime.Version(), p.ldflags())
	return fmt.Sprintf("%s-%s-%s-%x", p.kubernetes, runtime.GOOS, runtime.GOARCH, hash.Sum(nil)[:6])
}

// ldflags strips the binaries and sets the version, without which clients and servers say v0.0.0 to each other.
func (p pins) ldflags() string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(p.kubernetes, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			"-X", pkg+".gitVersion="+p.kubernetes,
			"-X", pkg+".gitMajor="+major,
			"-X", pkg+".gitMinor="+minor,
			"-X", pkg+".gitTreeState=clean",
			"-X", pkg+".gitCommit=unknown")
	}
	return strings.Join(flags, " ")
}
