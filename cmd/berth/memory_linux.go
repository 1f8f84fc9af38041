package main

import (
	"fmt"
	"os"
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
