package report

import (
	"bufio"
	"cmp"
	"errors"
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

// Write writes the report to all outputs, those without a file to stdout. Where there are only files, stdout gets a line.
func (r *Report) Write(outputs []Output, stdout io.Writer) error {
	return checkFormats.write(outputs, stdout, r)
}

// summarized is what a report comes to, in one line.
type summarized interface{ summary() string }

// formats is the formats of one kind of report, by name.
type formats[R summarized] map[string]func(io.Writer, R) error

func (f formats[R]) names() []string { return slices.Sorted(maps.Keys(f)) }

func (f formats[R]) parse(text string) (Output, error) {
	format, file, named := strings.Cut(text, "=")
	if f[format] == nil || named && file == "" {
		return Output{}, fmt.Errorf("must be FORMAT or FORMAT=FILE, with one of the formats %s", strings.Join(f.names(), ", "))
	}
	return Output{format, file}, nil
}

// write writes to all outputs that can be written to, whatever becomes of others.
func (f formats[R]) write(outputs []Output, stdout io.Writer, r R) error {
	var errs []error
	for _, output := range outputs {
		if err := f.writeOne(output, stdout, r); err != nil {
			errs = append(errs, fmt.Errorf("write the report as %s: %w", output.Format, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if slices.ContainsFunc(outputs, func(o Output) bool { return o.File == "" }) {
		return nil
	}
	_, err := fmt.Fprintln(stdout, plain(r.summary()))
	return err
}

func (f formats[R]) writeOne(output Output, stdout io.Writer, r R) error {
	if output.File == "" {
		return buffered(stdout, r, f[output.Format])
	}
	file, err := os.Create(output.File)
	if err != nil {
		return err
	}
	return intoFile(file, r, f[output.Format])
}

func buffered[R any](w io.Writer, r R, format func(io.Writer, R) error) error {
	buffer := bufio.NewWriter(w)
	if err := format(buffer, r); err != nil {
		return err
	}
	return buffer.Flush()
}

// intoFile writes to a file and closes it: only then is it sure that all is stored.
func intoFile[R any](file io.WriteCloser, r R, format func(io.Writer, R) error) error {
	return cmp.Or(buffered(file, r, format), file.Close())
}
