package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// The base image with Go, which nobody can pull here, is this machine's /usr.
func TestTheDockerfileBuildsTheSameFromItsContext(t *testing.T) {
	installed(t, "buildah")
	if os.Getuid() != 0 {
		t.Skip("buildah here needs root")
	}
	goroot := shell(t, ".", "go env GOROOT")
	host, folder, scratch := startRegistry(t), checkout(t), t.TempDir()
	pushGoImage(t, host+"/go:base", goroot)
	shell(t, folder, "go mod download")
	modules, cache := shell(t, folder, "go env GOMODCACHE"), shell(t, folder, "go env GOCACHE")
	built := filepath.Join(scratch, "built")
	shell(t, folder, strings.Join([]string{
		"buildah --storage-driver vfs --root", scratch + "/root --runroot", scratch + "/run",
		"build --isolation chroot --tls-verify=false --build-arg GO_IMAGE=" + host + "/go:base",
		"--build-arg VERSION=0.1.0 --build-arg REVISION=0",
		"--volume /usr:/usr:ro --volume", goroot + ":" + goroot + ":ro --volume", modules + ":/modules:ro --volume", cache + ":/cache",
		"--tag oci:" + built, ".",
	}, " "))

	layouts, err := layout.ImageIndexFromPath(built)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := layouts.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := layouts.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	files := filesOf(t, image)
	shell(t, folder, "make build VERSION=0.1.0")
	binary, err := os.ReadFile(filepath.Join(folder, "bin", "berth"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || !bytes.Equal(files["berth"], binary) {
		t.Error("the Dockerfile's image does not hold what make image builds, and nothing else")
	}
	got, want := configOf(t, image), configOf(t, builtFrom(t, binary))
	got.Env = nil // the PATH that engines add
	delete(got.Labels, "io.buildah.version")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the Dockerfile's image is configured\n%+v\nand that of make image\n%+v", got, want)
	}
}

// pushGoImage pushes an image with nothing in it but where to find Go, its modules and its cache.
func pushGoImage(t *testing.T, image, goroot string) {
	t.Helper()
	links := filepath.Join(t.TempDir(), "root")
	shell(t, ".", "mkdir -p "+links+"/tmp && cd "+links+" && for name in bin lib lib64; do ln -s usr/$name $name; done && tar -cf ../root.tar .")
	layer, err := tarball.LayerFromFile(links + ".tar")
	if err != nil {
		t.Fatal(err)
	}
	base, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	config := &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH}
	from, err := base.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.RootFS = from.RootFS
	config.Config.Env = []string{"PATH=" + goroot + "/bin:/usr/bin", "HOME=/tmp", "GOCACHE=/cache", "GOMODCACHE=/modules", "GOPROXY=off", "GOTOOLCHAIN=local"}
	if base, err = mutate.ConfigFile(base, config); err != nil {
		t.Fatal(err)
	}
	reference, err := name.NewTag(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, base); err != nil {
		t.Fatal(err)
	}
}
