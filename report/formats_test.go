package report

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// fullDisk is a file of which it turns out late that it cannot be stored.
type fullDisk struct{ bytes.Buffer }

var errFull = errors.New("no space left on device")

func (*fullDisk) Close() error { return errFull }

func TestAFileThatCannotBeClosedIsAnError(t *testing.T) {
	var file fullDisk
	err := intoFile(&file, "all", func(w io.Writer, text string) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if !errors.Is(err, errFull) || file.String() != "all" {
		t.Errorf("%v, and the file has %q", err, file.String())
	}
}
