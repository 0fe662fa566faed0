package netbridge

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"compose/internal/filelock"
	"compose/internal/roots"
	"compose/internal/turns"
	"compose/netbridge/rtnl"

	"golang.org/x/sys/unix"
)

// hostLock is held while a subnet is chosen and while the firewall's tables
// are made or removed. It is one for all roots of the host.
const hostLock = "/run/lock/compose-netbridge.lock"

// Manager makes and removes the networks of one root in the network namespace
// of the thread that opened it. It is safe for parallel use, also by several
// processes.
type Manager struct {
	roots roots.Roots
	tag   string
	host  *hostNS

	once  sync.Once
	route *rtnl.Socket
	query int // a socket for ioctl(2)
	err   error

	ups    turns.Group   // of networks that are taken up
	making chan struct{} // a place for each namespace under construction

	fw *firewall

	mu       sync.Mutex
	zones    zones
	outgoing outgoing
}

// Open returns the manager of a root. It touches nothing.
func Open(r roots.Roots) (*Manager, error) {
	host, err := openHostNS()
	if err != nil {
		return nil, err
	}
	m := &Manager{roots: r, tag: r.Tag(), host: host, zones: zones{}, query: -1}
	// What takes long is the kernel's work under one lock. More threads at it
	// than processors would only wait for each other.
	m.making = make(chan struct{}, max(2, runtime.NumCPU()))
	m.fw = &firewall{table: "compose-" + m.tag, bridges: "cb" + m.tag, host: host}
	return m, nil
}

// Close gives back the manager's own descriptors; networks and sandboxes live on.
func (m *Manager) Close() {
	m.letGo()
	m.once.Do(func() {})
	m.route.Close()
	if m.query >= 0 {
		unix.Close(m.query)
		m.query = -1
	}
	m.fw.close()
	m.host.file.Close()
}

// netlink is the manager's socket in the host's namespace.
func (m *Manager) netlink() (*rtnl.Socket, error) {
	m.once.Do(func() {
		m.err = m.host.run(func() error {
			var err error
			if m.query, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			m.route, err = rtnl.Open()
			return err
		})
	})
	return m.route, m.err
}

func lockHost() (*filelock.Lock, error) { return filelock.Exclusive(hostLock) }

// The run directory: <run>/networks/<id>/ holds the endpoints and addresses of
// a network that live now, <run>/sandboxes/ what each container holds.
func (m *Manager) runNetwork(id string) string {
	return filepath.Join(m.roots.Run, "networks", id)
}

func (m *Manager) sandboxRecord(containerID string) string {
	return filepath.Join(m.roots.Run, "sandboxes", containerID+".json")
}

// setSysctl writes a net.* value of the calling thread's namespace. A value
// that is already there is not written again.
func setSysctl(path, value string) error {
	path = "/proc/sys/net/" + path
	if have, err := os.ReadFile(path); err == nil && string(have) == value+"\n" {
		return nil
	}
	return writeSysctl(path, value)
}

// writeSysctl writes a file of /proc/sys, which needs no more than this.
func writeSysctl(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return err
}
