package admission

import (
	"errors"
	"fmt"
)

// ErrOverloaded is why a large request was not decided: too many of them come at a time. It passes.
var ErrOverloaded = errors.New("berth has too many requests at a time")

// NamespaceError is a namespace of which nothing is known.
type NamespaceError struct {
	Name string
	// Err is what became of asking the API server for it.
	Err error
}

// Error names the namespace and what became of asking for it.
func (e *NamespaceError) Error() string {
	return fmt.Sprintf("namespace %q is not in the cache, and asking for it failed: %v", e.Name, e.Err)
}

// Unwrap returns what became of asking for it.
func (e *NamespaceError) Unwrap() error { return e.Err }
