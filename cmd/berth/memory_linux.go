package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// cgroupLimitFile is where a container finds its memory limit.
const cgroupLimitFile = "/sys/fs/cgroup/memory.max"

// limitMemory has the garbage collector work harder before the container's limit is reached, which would end the process.
// GOMEMLIMIT has precedence.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit, found := softLimit(cgroupLimitFile); found {
		debug.SetMemoryLimit(limit)
	}
}

// softLimit is three quarters of the limit in the file: the program itself and the kernel's buffers need memory, too.
func softLimit(file string) (limit int64, found bool) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	limit, err = strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
	return limit / 4 * 3, err == nil // "max" is no number
}
