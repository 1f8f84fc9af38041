//go:build !linux

package testbed

// InNetwork says whether this program was started by RunInNetwork.
func InNetwork() bool { return false }

// RunInNetwork needs Linux.
func RunInNetwork() (code int, err error) { return 0, ErrNoNetwork }

func hasUser(int64) bool { return false }

func openNetwork() error { return ErrNoNetwork }
