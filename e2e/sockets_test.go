//go:build linux

package e2e_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listens is TCP_LISTEN of the kernel's include/net/tcp_states.h.
const listens = "0A"

// outbound is the sockets of a process, as "tcp LOCAL REMOTE" in the kernel's own notation, without those that listen and
// the connections that others made to them.
func outbound(t *testing.T, pid int) (sockets []string) {
	t.Helper()
	inodes := socketInodes(t, pid)
	listening := map[string]bool{}
	type socket struct{ protocol, local, remote, state string }
	var all []socket
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, protocol))
		if err != nil {
			t.Error(err)
			return nil
		}
		for line := range strings.Lines(string(table)) {
			// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
			fields := strings.Fields(line)
			if len(fields) < 10 || !inodes[fields[9]] {
				continue
			}
			s := socket{strings.TrimSuffix(protocol, "6"), fields[1], fields[2], fields[3]}
			all = append(all, s)
			if s.state == listens {
				listening[portOf(s.local)] = true
			}
		}
	}
	for _, s := range all {
		if s.protocol == "udp" || !listening[portOf(s.local)] {
			sockets = append(sockets, strings.Join([]string{s.protocol, s.local, s.remote}, " "))
		}
	}
	slices.Sort(sockets)
	return sockets
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// socketInodes is the sockets among the files that the process has open. One that is closed meanwhile is passed over.
func socketInodes(t *testing.T, pid int) map[string]bool {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd/", pid)
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Error(err)
		return nil
	}
	inodes := map[string]bool{}
	for _, file := range files {
		target, err := os.Readlink(folder + file.Name())
		if inode, isSocket := strings.CutPrefix(target, "socket:["); err == nil && isSocket {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes
}

func TestOutboundSocketsAreTold(t *testing.T) {
	before := outbound(t, os.Getpid())
	connection, err := net.Dial("tcp", berth.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, port, err := net.SplitHostPort(connection.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for _, socket := range outbound(t, os.Getpid()) {
		if !slices.Contains(before, socket) {
			made = append(made, strings.Fields(socket)[1])
		}
	}
	local, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf("0100007F:%04X", local)}, made); diff != "" {
		t.Errorf("sockets that are new (-want +got):\n%s", diff)
	}
	for _, socket := range outbound(t, berth.Pid()) {
		if strings.HasSuffix(socket, fmt.Sprintf(":%04X", local)) {
			t.Errorf("what others connect to counts as what berth made: %s", socket)
		}
	}
}
