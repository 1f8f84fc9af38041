package report

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// Output is a format, and the file that it goes into; "" is standard output.
type Output struct{ Format, File string }

var checkFormats = formats[*Report]{
	"table": table, "wide": wide, "yaml": asYAML[*Report], "json": asJSON[*Report], "diff": diff,
	"sarif": asSARIF, "junit": junit, "github": github, "markdown": markdown,
}

// Formats lists the names of those that a Report has.
func Formats() []string { return checkFormats.names() }

// ParseOutput reads FORMAT[=FILE] of a Report.
func ParseOutput(text string) (Output, error) { return checkFormats.parse(text) }

// Write writes the report to all outputs, those without a file to stdout.
func (r *Report) Write(outputs []Output, stdout io.Writer) error {
	return checkFormats.write(outputs, stdout, r)
}

// formats is the formats of one kind of report, by name.
type formats[R any] map[string]func(io.Writer, R) error

func (f formats[R]) names() []string { return slices.Sorted(maps.Keys(f)) }

func (f formats[R]) parse(text string) (Output, error) {
	format, file, named := strings.Cut(text, "=")
	if f[format] == nil || named && file == "" {
		return Output{}, fmt.Errorf("must be FORMAT or FORMAT=FILE, with one of the formats %s", strings.Join(f.names(), ", "))
	}
	return Output{format, file}, nil
}

func (f formats[R]) write(outputs []Output, stdout io.Writer, r R) error {
	for _, output := range outputs {
		if err := f.writeOne(output, stdout, r); err != nil {
			return fmt.Errorf("write the report as %s: %w", output.Format, err)
		}
	}
	return nil
}

func (f formats[R]) writeOne(output Output, to io.Writer, r R) (err error) {
	if output.File != "" {
		file, err := os.Create(output.File)
		if err != nil {
			return err
		}
		defer func() {
			if closing := file.Close(); err == nil {
				err = closing
			}
		}()
		to = file
	}
	buffered := bufio.NewWriter(to)
	if err := f[output.Format](buffered, r); err != nil {
		return err
	}
	return buffered.Flush()
}
