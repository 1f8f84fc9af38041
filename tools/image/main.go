// Command image makes berth's container image out of binaries, without a container engine, and pushes it.
//
//	image build [flags] linux/amd64=FILE linux/arm64=FILE
//	image push LAYOUT IMAGE
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt)
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New("say what to do: build or push")
	}
	switch command, args := args[0], args[1:]; command {
	case "build":
		return build(args, stdout)
	case "push":
		return push(ctx, args, stdout)
	default:
		return fmt.Errorf("%q is neither build nor push", command)
	}
}

// build writes the layout and the archives, and says the image's digest.
func build(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	layoutFolder := flags.String("layout", "", "`folder` of the OCI layout, written anew")
	image := flags.String("image", "", "`name` under which docker load keeps it")
	var source source
	flags.StringVar(&source.version, "version", "", "berth's version")
	flags.StringVar(&source.revision, "revision", "", "commit that it was built from, if there is one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *layoutFolder == "" || *image == "" || source.version == "" {
		return errors.New("build needs -layout, -image and -version")
	}
	reference, err := name.NewTag(*image)
	if err != nil {
		return fmt.Errorf("IMAGE: %w", err)
	}
	images, err := imagesOf(flags.Args(), source)
	if err != nil {
		return err
	}
	index, err := indexOf(images, source)
	if err != nil {
		return err
	}
	if err := writeLayout(*layoutFolder, index); err != nil {
		return err
	}
	if err := writeArchives(*layoutFolder, reference, images); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, digest)
	return err
}

// push sends the image of a layout to a registry, as the user that docker login or podman login has made known.
func push(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return errors.New("push needs a layout and the image's name")
	}
	index, err := readLayout(args[0])
	if err != nil {
		return fmt.Errorf("read the layout %s (make image writes it): %w", args[0], err)
	}
	reference, err := name.NewTag(args[1])
	if err != nil {
		return fmt.Errorf("IMAGE: %w", err)
	}
	if err := remote.WriteIndex(reference, index, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("push to %s: %w", reference, err)
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s@%s\n", reference.Context(), digest)
	return err
}
