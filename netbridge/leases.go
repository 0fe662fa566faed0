package netbridge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"compose/internal/fault"
)

// leases is the table of the addresses of one network that are taken:
// <run>/networks/<id>/leases, entries of one size, an address and the
// container that has it; zeros are a free entry. It is read and changed under
// flock(2). One file a network rather than one an address, because making a
// file is the dearest thing that a start does on some file systems.
type leases struct {
	file *os.File
	data []byte
}

const (
	leaseAddr = 16
	leaseID   = 64
	leaseSize = leaseAddr + leaseID
)

// withLeases calls fn with the table of a network, locked. flag is os.O_CREATE
// where there may be none yet, which only somebody may say who holds the
// network: in one that is being removed a new table would be in the way.
func (m *Manager) withLeases(networkID string, flag int, fn func(t *leases) error) error {
	path := m.runNetwork(networkID) + "/leases"
	f, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return fmt.Errorf("open the table of addresses: %w", err)
	}
	defer f.Close() // and with it the lock
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	t := &leases{file: f}
	if t.data, err = io.ReadAll(f); err != nil {
		return err
	}
	t.data = t.data[:len(t.data)/leaseSize*leaseSize]
	return fn(t)
}

// each hands out the entries that are taken. It is called for every start and
// end of a container on the network, and makes no string of each of the others.
func (t *leases) each(fn func(at int, addr netip.Addr, id []byte)) {
	for at := 0; at < len(t.data); at += leaseSize {
		entry := t.data[at : at+leaseSize]
		if id := bytes.TrimRight(entry[leaseAddr:], "\x00"); len(id) > 0 {
			fn(at, netip.AddrFrom16([16]byte(entry[:leaseAddr])).Unmap(), id)
		}
	}
}

// taken maps each address to the container that has it.
func (t *leases) taken() map[netip.Addr][]byte {
	all := make(map[netip.Addr][]byte, len(t.data)/leaseSize)
	t.each(func(_ int, addr netip.Addr, id []byte) { all[addr] = id })
	return all
}

// take notes that a container has an address.
func (t *leases) take(addr netip.Addr, id string) error {
	var entry [leaseSize]byte
	a := addr.As16()
	copy(entry[:], a[:])
	if copy(entry[leaseAddr:], id) < len(id) || id == "" {
		return fmt.Errorf("container ID %q is empty or longer than %d bytes", id, leaseID)
	}
	at := 0
	for at < len(t.data) && t.data[at+leaseAddr] != 0 {
		at += leaseSize
	}
	if at == len(t.data) {
		t.data = append(t.data, entry[:]...)
	} else {
		copy(t.data[at:], entry[:])
	}
	_, err := t.file.WriteAt(entry[:], int64(at))
	fault.Point("netbridge: after a lease")
	return err
}

// drop gives back every address of a container.
func (t *leases) drop(id string) (err error) {
	t.each(func(at int, _ netip.Addr, holder []byte) {
		if string(holder) == id {
			clear(t.data[at : at+leaseSize])
			_, werr := t.file.WriteAt(t.data[at:at+leaseSize], int64(at))
			err = errors.Join(err, werr)
		}
	})
	return err
}

// yield gives back every address that a container has on a network.
func (m *Manager) yield(networkID, containerID string) error {
	err := m.withLeases(networkID, 0, func(t *leases) error { return t.drop(containerID) })
	if errors.Is(err, fs.ErrNotExist) { // the network is gone, and its table with it, or never had one
		return nil
	}
	return err
}

// claim takes an address of a subnet: the one asked for, or the lowest free.
func (m *Manager) claim(t *leases, n *Network, s *Subnet, containerID string, fixed netip.Addr) (netip.Addr, error) {
	taken := t.taken()
	if fixed.IsValid() {
		if err := s.usable(n, fixed); err != nil {
			return fixed, err
		}
		holds, ok := taken[fixed]
		switch holder := string(holds); {
		case !ok:
			return fixed, t.take(fixed, containerID)
		case holder == containerID:
			return fixed, nil
		default:
			if r, err := readEndpoint(m.endpointPath(n.ID, holder), n.ID); err == nil {
				holder = r.name()
			}
			return fixed, &AddressInUseError{Network: n.Name, Address: fixed, Holder: holder}
		}
	}
	first, last := s.bounds()
	for a := first; a.IsValid() && !last.Less(a); a = a.Next() {
		if _, ok := taken[a]; !ok && a != s.Gateway && !s.reserved(a) {
			return a, t.take(a, containerID)
		}
	}
	return netip.Addr{}, fmt.Errorf("network %s has no free address left in %s", n.Name, s.Prefix)
}

// usable says why a container cannot have an address of the subnet, or nil.
func (s *Subnet) usable(n *Network, a netip.Addr) error {
	if a == s.Gateway || a == s.Prefix.Addr() {
		return fmt.Errorf("address %s is not one that containers on network %s (%s, gateway %s) can have", a, n.Name, s.Prefix, s.Gateway)
	}
	return nil
}

func (s *Subnet) reserved(a netip.Addr) bool {
	for _, r := range s.Aux {
		if r == a {
			return true
		}
	}
	return false
}
