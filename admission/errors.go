package admission

import (
	"errors"
	"fmt"
)

// ErrOverloaded is why a large request was not decided: too many of them come at a time. It passes.
var ErrOverloaded = errors.New("berth has too many large requests at a time")

// TooLargeError is why something was not even looked at.
type TooLargeError struct {
	// What is too large.
	What string
	// Limit is the most bytes that it may have.
	Limit int64
}

// Error says what may have how many bytes.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s must not be larger than %d bytes", e.What, e.Limit)
}

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
