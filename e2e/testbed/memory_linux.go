package testbed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// MemoryGroup is the memory cgroup of a container: what is in it and takes more than its limit is killed by the kernel.
type MemoryGroup struct {
	folder string
	layout memoryLayout
	// home is, in cgroup v1, the cgroup of this process.
	home string
	file *os.File // the folder, in cgroup v2
}

// memoryLayout is how a version of cgroups names its files.
type memoryLayout struct{ limit, peak, events string }

var (
	memoryV1 = memoryLayout{"memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"}
	memoryV2 = memoryLayout{"memory.max", "memory.peak", "memory.events"}
)

// newMemoryGroup makes a cgroup with so many bytes, below that of this process or of the nearest above that can have one. It
// returns why where the machine has none to give.
func newMemoryGroup(name string, limit int64) (*MemoryGroup, error) {
	mount, own, layout, err := memoryHierarchy()
	if err != nil {
		return nil, err
	}
	parent, err := parentGroup(mount, own, layout)
	if err != nil {
		return nil, err
	}
	g := &MemoryGroup{folder: filepath.Join(parent, fmt.Sprintf("berth-%d-%s", os.Getpid(), name)), layout: layout, home: parent}
	if err := os.Mkdir(g.folder, 0o755); err != nil {
		return nil, fmt.Errorf("make a memory cgroup: %w", err)
	}
	if err := os.WriteFile(filepath.Join(g.folder, layout.limit), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("limit a memory cgroup: %w", err), g.remove())
	}
	if layout == memoryV2 {
		if g.file, err = os.Open(g.folder); err != nil {
			return nil, errors.Join(err, g.remove())
		}
	}
	return g, nil
}

// memoryHierarchy says where cgroups of memory are mounted, and which of them this process is in.
func memoryHierarchy() (mount, own string, layout memoryLayout, err error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", "", layout, err
	}
	for line := range strings.Lines(string(mounts)) {
		// id parent major:minor root mountpoint options … - type source options
		before, after, _ := strings.Cut(line, " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if len(where) < 5 || len(what) < 3 {
			continue
		}
		mount, controller := where[4], ""
		switch {
		case what[0] == "cgroup" && slices.Contains(strings.Split(what[2], ","), "memory"):
			layout, controller = memoryV1, "memory"
		case what[0] == "cgroup2" && hasMemory(filepath.Join(mount, "cgroup.controllers")):
			layout = memoryV2
		default:
			continue
		}
		own, err := ownGroup(controller)
		return mount, strings.TrimPrefix(own, strings.TrimSuffix(where[3], "/")), layout, err
	}
	return "", "", layout, errors.New("no cgroups of memory are mounted")
}

func hasMemory(file string) bool {
	content, err := os.ReadFile(file)
	return err == nil && slices.Contains(strings.Fields(string(content)), "memory")
}

// ownGroup is the cgroup of this process: that of a controller in cgroup v1, and in v2, which has none, the only one.
func ownGroup(controller string) (string, error) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && slices.Contains(strings.Split(fields[1], ","), controller) {
			return fields[2], nil
		}
	}
	return "", errors.New("this process is in no cgroup of memory")
}

// parentGroup is the cgroup nearest above this process that can have one of memory below it. One of v2 with processes in it
// cannot, unless it is the root of all.
func parentGroup(mount, own string, layout memoryLayout) (string, error) {
	for folder := filepath.Join(mount, own); strings.HasPrefix(folder, mount); folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "cgroup.procs")); err != nil {
			continue // of another's view of the hierarchy
		}
		children := filepath.Join(folder, "cgroup.subtree_control")
		if layout == memoryV1 || hasMemory(children) || os.WriteFile(children, []byte("+memory"), 0) == nil {
			return folder, nil
		}
	}
	return "", fmt.Errorf("no cgroup from %s up to %s can have one of memory below it", filepath.Join(mount, own), mount)
}

// enter has what the calling thread starts with these attributes start in the cgroup. The thread is the caller's alone. Leave
// is for after the start.
func (g *MemoryGroup) enter(attributes *syscall.SysProcAttr) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	if g.layout == memoryV2 {
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(g.file.Fd())
		return func() {}, nil
	}
	thread := []byte(strconv.Itoa(unix.Gettid()))
	if err := os.WriteFile(filepath.Join(g.folder, "tasks"), thread, 0); err != nil {
		return nil, fmt.Errorf("enter a memory cgroup: %w", err)
	}
	return func() { _ = os.WriteFile(filepath.Join(g.home, "tasks"), thread, 0) }, nil
}

// remove removes the cgroup, in which nothing may run any more.
func (g *MemoryGroup) remove() error {
	if g == nil {
		return nil
	}
	if g.file != nil {
		_ = g.file.Close()
	}
	return os.Remove(g.folder)
}

// Peak is the most bytes that were in use at a time, those of files in memory included.
func (g *MemoryGroup) Peak() (bytes int64, err error) {
	content, err := os.ReadFile(filepath.Join(g.folder, g.layout.peak))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
}

// Kills is how many processes the kernel has killed for memory.
func (g *MemoryGroup) Kills() (n int, err error) {
	content, err := os.ReadFile(filepath.Join(g.folder, g.layout.events))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if number, found := strings.CutPrefix(line, "oom_kill "); found {
			return strconv.Atoi(strings.TrimSpace(number))
		}
	}
	return 0, fmt.Errorf("%s says nothing of oom_kill", g.layout.events)
}

// Has tells whether a process is in the cgroup.
func (g *MemoryGroup) Has(pid int) (bool, error) {
	content, err := os.ReadFile(filepath.Join(g.folder, "cgroup.procs"))
	return slices.Contains(strings.Fields(string(content)), strconv.Itoa(pid)), err
}
