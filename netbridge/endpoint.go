package netbridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// endpointRecord is a live endpoint as every resolver of the root sees it:
// <run>/networks/<network id>/<container id>.json, never changed once written.
type endpointRecord struct {
	ContainerID   string     `json:"container_id"`
	ContainerName string     `json:"container_name,omitempty"`
	Aliases       []string   `json:"aliases,omitempty"`
	IPv4          netip.Addr `json:"ipv4,omitzero"`
	IPv6          netip.Addr `json:"ipv6,omitzero"`

	version fileVersion
}

// fileVersion tells a file from the one that replaced it.
type fileVersion struct {
	inode   uint64
	changed time.Time
}

func versionOf(info fs.FileInfo) fileVersion {
	v := fileVersion{changed: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		v.inode = st.Ino
	}
	return v
}

// name is what to call the container in a message.
func (r *endpointRecord) name() string {
	if r.ContainerName != "" {
		return r.ContainerName
	}
	return shortID(r.ContainerID)
}

func shortID(id string) string { return id[:min(12, len(id))] }

func (m *Manager) endpointPath(networkID, containerID string) string {
	return filepath.Join(m.runNetwork(networkID), containerID+".json")
}

func readEndpoint(path string) (*endpointRecord, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(endpointRecord)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// readEndpoints reads the live endpoints in a network's run directory.
func readEndpoints(dir string) ([]*endpointRecord, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*endpointRecord
	for _, e := range entries {
		if !isRecord(e.Name()) {
			continue
		}
		r, err := readEndpoint(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func isRecord(name string) bool {
	return strings.HasSuffix(name, ".json") && !strings.HasPrefix(name, ".")
}

// claim takes an address of a subnet for a container. An address is taken by
// the symbolic link <run>/networks/<id>/addresses/<address> -> container ID:
// link(2) and its kin are exclusive, so there is nothing to lock, and a crash
// leaves nothing half-made.
func (m *Manager) claim(n *Network, s *Subnet, containerID string, fixed netip.Addr) (netip.Addr, error) {
	dir := m.addresses(n.ID)
	if fixed.IsValid() {
		if !s.Prefix.Contains(fixed) || fixed == s.Gateway || fixed == s.Prefix.Addr() {
			return netip.Addr{}, fmt.Errorf("address %s is not one that containers on network %s (%s, gateway %s) can have", fixed, n.Name, s.Prefix, s.Gateway)
		}
		path := filepath.Join(dir, fixed.String())
		err := os.Symlink(containerID, path)
		if !errors.Is(err, fs.ErrExist) {
			return fixed, err
		}
		holder, _ := os.Readlink(path)
		if holder == containerID {
			return fixed, nil
		}
		if r, err := readEndpoint(m.endpointPath(n.ID, holder)); err == nil {
			holder = r.name()
		}
		return netip.Addr{}, &AddressInUseError{Network: n.Name, Address: fixed, Holder: holder}
	}
	first, last := s.bounds()
	a := first
	hint := m.hint(n.ID, s.Prefix)
	if hint.IsValid() && s.Prefix.Contains(hint) && first.Less(hint) {
		a = hint
	}
	for wrapped := a == first; ; a = a.Next() {
		if last.Less(a) || !a.IsValid() {
			if wrapped {
				return netip.Addr{}, fmt.Errorf("network %s has no free address left in %s", n.Name, s.Prefix)
			}
			a, wrapped = first, true
		}
		if a == s.Gateway || s.reserved(a) {
			continue
		}
		err := os.Symlink(containerID, filepath.Join(dir, a.String()))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			m.setHint(n.ID, s.Prefix, a.Next())
		}
		return a, err
	}
}

func (s *Subnet) reserved(a netip.Addr) bool {
	for _, r := range s.Aux {
		if r == a {
			return true
		}
	}
	return false
}

// yield gives an address back if it is the container's.
func (m *Manager) yield(networkID, containerID string, a netip.Addr) error {
	if !a.IsValid() {
		return nil
	}
	path := filepath.Join(m.addresses(networkID), a.String())
	if holder, err := os.Readlink(path); err != nil || holder != containerID {
		return nil
	}
	m.lowerHint(networkID, a)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// A hint is where to begin looking for a free address: below it this process
// knows of none. Others may have freed some; they are found on the way round.

type hintKey struct {
	network string
	prefix  netip.Prefix
}

func (m *Manager) hint(network string, p netip.Prefix) netip.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hints[hintKey{network, p}]
}

func (m *Manager) setHint(network string, p netip.Prefix, a netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hints[hintKey{network, p}] = a
}

func (m *Manager) lowerHint(network string, a netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, h := range m.hints {
		if k.network == network && k.prefix.Contains(a) && a.Less(h) {
			m.hints[k] = a
		}
	}
}

// forget drops what the process remembers of a network.
func (m *Manager) forget(network string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.hints {
		if k.network == network {
			delete(m.hints, k)
		}
	}
	delete(m.zones, network)
}
