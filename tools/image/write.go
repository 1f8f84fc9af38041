package main

import (
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// writeLayout writes an OCI layout that holds the index and nothing else.
func writeLayout(folder string, index v1.ImageIndex) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	return path.AppendIndex(index)
}

// readLayout reads what writeLayout has written.
func readLayout(folder string) (v1.ImageIndex, error) {
	all, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, err
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("it holds %d images and not one", len(manifest.Manifests))
	}
	return all.ImageIndex(manifest.Manifests[0].Digest)
}

// writeArchives writes for each platform what docker load reads: bin/image-amd64.tar beside bin/image.
func writeArchives(prefix string, reference name.Tag, images []v1.Image) error {
	for _, image := range images {
		config, err := image.ConfigFile()
		if err != nil {
			return err
		}
		if err := tarball.WriteToFile(prefix+"-"+config.Architecture+".tar", reference, image); err != nil {
			return err
		}
	}
	return nil
}
