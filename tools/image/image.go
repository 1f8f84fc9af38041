package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// source is what an image was built from.
type source struct{ version, revision string }

// labels are the same as the Dockerfile's.
func (s source) labels() map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":    "berth",
		"org.opencontainers.image.source":   "https://berth.dev/berth",
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.version":  s.version,
	}
	if s.revision != "" {
		labels["org.opencontainers.image.revision"] = s.revision
	}
	return labels
}

// imagesOf makes an image of each PLATFORM=FILE, in their order.
func imagesOf(binaries []string, source source) (images []v1.Image, err error) {
	if len(binaries) == 0 {
		return nil, fmt.Errorf("no binary: give each as PLATFORM=FILE, for example linux/amd64=bin/linux/amd64/berth")
	}
	for _, binary := range binaries {
		text, file, found := strings.Cut(binary, "=")
		if !found {
			return nil, fmt.Errorf("%q is not PLATFORM=FILE", binary)
		}
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return nil, err
		}
		layer, err := layerOf(file)
		if err != nil {
			return nil, err
		}
		image, err := imageOf(layer, *platform, source)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	return images, nil
}

// imageOf says how berth runs, as the Dockerfile does. No time: that of the build would make each image another.
func imageOf(layer v1.Layer, platform v1.Platform, source source) (v1.Image, error) {
	image, err := mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		User:         "65532:65532",
		Entrypoint:   []string{"/berth"},
		Cmd:          []string{"serve"},
		WorkingDir:   "/",
		ExposedPorts: map[string]struct{}{"9443/tcp": {}, "8080/tcp": {}, "8081/tcp": {}},
		Labels:       source.labels(),
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, source.labels()).(v1.Image), nil
}

// layerOf is the whole file system: the binary.
func layerOf(file string) (v1.Layer, error) {
	binary, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: "berth", Mode: 0o755, Size: int64(len(binary)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// indexOf is the image of all platforms.
func indexOf(images []v1.Image, source source) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, image := range images {
		config, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: config.Platform()}})
	}
	return mutate.Annotations(index, source.labels()).(v1.ImageIndex), nil
}
