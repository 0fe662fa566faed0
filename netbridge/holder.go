package netbridge

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holder says who holds the port that a mapping could not have: a container on
// record, or else a process of the host. excepted is true where it is one of
// the containers whose IDs are in except.
func (m *Manager) holder(p PortMapping, except []string) (name string, excepted bool) {
	records, _ := m.sandboxes()
	for _, r := range records {
		for _, held := range r.Ports {
			if held.HostPort != p.HostPort || held.Protocol != p.Protocol || !meets(p.hostAddresses(), held.HostIP) {
				continue
			}
			if slices.Contains(except, r.ContainerID) {
				excepted = true
				continue
			}
			if r.ContainerName != "" {
				return "container " + r.ContainerName, false
			}
			return "container " + shortID(r.ContainerID), false
		}
	}
	if excepted {
		return "", true
	}
	return portProcess(p), false
}

// meets says whether a socket at have keeps one of want from being bound.
func meets(want []netip.Addr, have netip.Addr) bool {
	for _, w := range want {
		if w == have || (w.Is4() == have.Is4() && (w.IsUnspecified() || have.IsUnspecified())) {
			return true
		}
		if have == netip.IPv6Unspecified() && w.Is4() { // a socket for both families
			return true
		}
	}
	return false
}

// portProcess finds the process of the host that holds a port: the socket by
// /proc/net, its owner by the descriptors of every process.
func portProcess(p PortMapping) string {
	inodes := map[string]bool{}
	for _, family := range []string{"", "6"} {
		socketInodes("/proc/thread-self/net/"+p.Protocol+family, p, inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd")
	for _, dir := range fds {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			link, err := os.Readlink(filepath.Join(dir, e.Name()))
			if err != nil || !inodes[link] {
				continue
			}
			process := filepath.Dir(dir)
			comm, _ := os.ReadFile(filepath.Join(process, "comm"))
			return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(comm)), filepath.Base(process))
		}
	}
	return ""
}

// socketInodes collects the sockets of one table that hold the port.
func socketInodes(table string, p PortMapping, found map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening, unconnected = "0A", "07"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || (fields[3] != listening && fields[3] != unconnected) {
			continue
		}
		local, ok := parseProcAddr(fields[1])
		if ok && local.Port() == p.HostPort && meets(p.hostAddresses(), local.Addr()) {
			found["socket:["+fields[9]+"]"] = true
		}
	}
}

// parseProcAddr parses "0100007F:1F90": words in the machine's byte order,
// which on the machines this runs on is little-endian, and the port.
func parseProcAddr(text string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || err2 != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	a, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(number)), ok
}
