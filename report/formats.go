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

var formats = map[string]func(io.Writer, *Report) error{
	"table": table, "wide": wide, "yaml": asYAML, "json": asJSON, "diff": diff,
	"sarif": asSARIF, "junit": junit, "github": github, "markdown": markdown,
}

// Formats lists the names.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// ParseOutput reads FORMAT[=FILE].
func ParseOutput(text string) (Output, error) {
	format, file, named := strings.Cut(text, "=")
	if formats[format] == nil || named && file == "" {
		return Output{}, fmt.Errorf("must be FORMAT or FORMAT=FILE, with one of the formats %s", strings.Join(Formats(), ", "))
	}
	return Output{format, file}, nil
}

// Write writes the report to all outputs, those without a file to stdout.
func (r *Report) Write(outputs []Output, stdout io.Writer) error {
	for _, output := range outputs {
		if err := r.write(output, stdout); err != nil {
			return fmt.Errorf("write the report as %s: %w", output.Format, err)
		}
	}
	return nil
}

func (r *Report) write(output Output, to io.Writer) (err error) {
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
	if err := formats[output.Format](buffered, r); err != nil {
		return err
	}
	return buffered.Flush()
}
