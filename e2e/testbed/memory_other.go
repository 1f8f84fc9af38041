//go:build !linux

package testbed

import (
	"errors"
	"syscall"
)

// MemoryGroup needs Linux.
type MemoryGroup struct{}

var errNoCgroups = errors.New("cgroups need Linux")

func newMemoryGroup(string, int64) (*MemoryGroup, error) { return nil, errNoCgroups }

func (*MemoryGroup) enter(*syscall.SysProcAttr) (leave func(), err error) { return func() {}, nil }

func (*MemoryGroup) remove() error { return nil }

// Peak needs Linux.
func (*MemoryGroup) Peak() (bytes int64, err error) { return 0, errNoCgroups }

// Kills needs Linux.
func (*MemoryGroup) Kills() (n int, err error) { return 0, errNoCgroups }

// Has needs Linux.
func (*MemoryGroup) Has(int) (bool, error) { return false, errNoCgroups }
