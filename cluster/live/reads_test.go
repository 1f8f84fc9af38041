package live_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"berth.dev/berth/cluster"
	"berth.dev/berth/cluster/live"
)

// countingReader counts what it is asked for, and has everything.
type countingReader struct {
	client.Reader

	reads int
}

// Get implements client.Reader.
func (r *countingReader) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	r.reads++
	return nil
}

func TestWhoeverNamesNamespacesThatDoNotExistCausesFewReads(t *testing.T) {
	const asked = 5000
	var reader countingReader
	facts := live.New(nil, &reader, logr.Discard())
	refused := 0
	for i := range asked {
		_, err := facts.Namespace(t.Context(), fmt.Sprint("no-such-", i))
		switch {
		case errors.Is(err, cluster.ErrTooManyReads):
			refused++
		case err != nil:
			t.Fatal(err)
		}
	}
	if reader.reads < 20 || reader.reads > asked/10 || reader.reads+refused != asked {
		t.Errorf("%d namespaces asked for: %d read, %d refused", asked, reader.reads, refused)
	}
}
