package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// releaseStartPages gives back the pages of the program file that only the start
// needed. controller-runtime registers every kind of the Kubernetes API, whose
// 25 MB of code and tables would count as resident for as long as berth runs.
// They stay in the page cache: what is used again is mapped again.
func releaseStartPages() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	mappings, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for mapping := range strings.Lines(string(mappings)) {
		var start, end uintptr
		var mode string
		_, err := fmt.Sscanf(mapping, "%x-%x %s", &start, &end, &mode)
		// A page that can be written to has no copy in the file.
		if err != nil || strings.Contains(mode, "w") || !strings.HasSuffix(mapping, " "+program+"\n") {
			continue
		}
		// This is advice: without it more memory is resident, and nothing else.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, end-start, syscall.MADV_DONTNEED)
	}
}

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
