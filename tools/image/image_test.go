package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// startRegistry serves a registry on this machine.
func startRegistry(t *testing.T) (host string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// commandsOfInstall are the commands of docs/install.md that contain make push, with a registry that is there.
func commandsOfInstall(t *testing.T, registry string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```\n([^`]*make push[^`]*)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/install.md has no commands with make push")
	}
	return strings.ReplaceAll(string(block[1]), "registry.example.com", registry)
}

func TestTheCommandsOfInstallPushAnImageThatRuns(t *testing.T) {
	host, folder := startRegistry(t), checkout(t)
	said := shell(t, folder, commandsOfInstall(t, host))

	reference, err := name.NewTag(host + "/berth:0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Index(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(pulled); err != nil {
		t.Error(err)
	}
	digest, err := pulled.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if want := host + "/berth@" + digest.String(); !strings.HasSuffix(said, "\n"+want) {
		t.Errorf("make push ends with\n%s\nand not with\n%s", said, want)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		files := filesOf(t, imageFor(t, pulled, architecture))
		built, err := os.ReadFile(filepath.Join(folder, "bin", "linux", architecture, "berth"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != 1 || !bytes.Equal(files["berth"], built) {
			t.Errorf("%s: the image does not hold what was built, and nothing else", architecture)
		}
	}
	binary := filepath.Join(t.TempDir(), "berth")
	if err := os.WriteFile(binary, filesOf(t, imageFor(t, pulled, runtime.GOARCH))["berth"], 0o755); err != nil {
		t.Fatal(err)
	}
	want := "berth 0.1.0\n" + runtime.Version() + "\nlinux/" + runtime.GOARCH
	if got := shell(t, folder, binary+" version"); got != want {
		t.Errorf("the pulled binary says\n%s\nand not\n%s", got, want)
	}
	t.Run("make build writes the same binary", func(t *testing.T) {
		shell(t, folder, "make build VERSION=0.1.0 BINARY="+binary)
		built, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(built, filesOf(t, imageFor(t, pulled, runtime.GOARCH))["berth"]) {
			t.Error("what make build writes, which the end-to-end tests run, is not what the image holds")
		}
	})
	t.Run("docker load reads the archives", func(t *testing.T) { archivesHoldTheImage(t, folder, reference) })
	t.Run("skopeo reads the layout", func(t *testing.T) {
		installed(t, "skopeo")
		got := shell(t, folder, "skopeo inspect --format '{{.Architecture}} {{.Labels}}' --override-arch arm64 oci:bin/image; "+
			"skopeo inspect --format '{{.Architecture}} {{.Labels}}' docker-archive:bin/image-arm64.tar")
		labels := "arm64 map[org.opencontainers.image.licenses:Apache-2.0 org.opencontainers.image.source:https://berth.dev/berth " +
			"org.opencontainers.image.title:berth org.opencontainers.image.version:0.1.0]"
		if want := labels + "\n" + labels; got != want {
			t.Errorf("skopeo says\n%s\nand not\n%s", got, want)
		}
	})
}

// archivesHoldTheImage compares them by the digest of their configuration, by which docker names images.
func archivesHoldTheImage(t *testing.T, folder string, reference name.Tag) {
	for _, architecture := range []string{"amd64", "arm64"} {
		image, err := tarball.ImageFromPath(filepath.Join(folder, "bin", "image-"+architecture+".tar"), &reference)
		if err != nil {
			t.Fatal(err)
		}
		got, err := image.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		want, err := imageFor(t, layoutOf(t, folder), architecture).ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: the archive holds the image %s, the layout %s", architecture, got, want)
		}
	}
}

// The second builds all from nothing, as on another machine.
func TestTwoBuildsInDifferentFoldersAndCachesGiveOneDigest(t *testing.T) {
	said := map[string]bool{}
	for _, env := range []string{"GOAMD64=", "GOCACHE=" + t.TempDir()} {
		folder := checkout(t)
		shell(t, folder, "make image PLATFORMS=linux/amd64 VERSION=0.1.0 REVISION=0", env)
		digest, err := layoutOf(t, folder).Digest()
		if err != nil {
			t.Fatal(err)
		}
		said[digest.String()] = true
	}
	if len(said) != 1 {
		t.Errorf("the digests differ: %v", said)
	}
}

// What the chart says of the container is what the image says of itself.
func TestTheChartRunsTheImageAsItIs(t *testing.T) {
	rendered, err := os.ReadFile("../../deploy/berth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := configOf(t, builtFrom(t, []byte("any")))
	ports := map[string]struct{}{}
	for _, match := range regexp.MustCompile(`containerPort: (\d+)`).FindAllSubmatch(rendered, -1) {
		ports[string(match[1])+"/tcp"] = struct{}{}
	}
	if !reflect.DeepEqual(ports, config.ExposedPorts) {
		t.Errorf("the chart's ports are %v, the image's %v", ports, config.ExposedPorts)
	}
	user, group, _ := strings.Cut(config.User, ":")
	for _, want := range []string{"runAsUser: " + user + "\n", "runAsGroup: " + group + "\n", "readOnlyRootFilesystem: true\n"} {
		if !strings.Contains(string(rendered), want) {
			t.Errorf("deploy/berth.yaml has no %q", want)
		}
	}
}

// builtFrom is the image of a binary.
func builtFrom(t *testing.T, binary []byte) v1.Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "berth")
	if err := os.WriteFile(file, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	images, err := imagesOf([]string{"linux/amd64=" + file}, source{version: "0.1.0", revision: "0"})
	if err != nil {
		t.Fatal(err)
	}
	return images[0]
}

func configOf(t *testing.T, image v1.Image) v1.Config {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return config.Config
}
