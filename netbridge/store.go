package netbridge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"compose/internal/fault"
	"compose/internal/objectname"
	"compose/internal/statefile"
)

const recordVersion = 1

func validName(name string) bool { return objectname.Valid(name) && len(name) <= 128 }

func (m *Manager) recordPath(name string) string {
	return filepath.Join(m.roots.Networks(), name+".json")
}

// Network returns the record of a network, or an error that matches ErrNotFound.
func (m *Manager) Network(name string) (*Network, error) {
	if !validName(name) {
		return nil, fmt.Errorf("network %q: %w", name, ErrNotFound)
	}
	n := new(Network)
	err := statefile.ReadDrafted(m.recordPath(name), n, &n.Version, recordVersion)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("network %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Networks lists the networks on record by name.
func (m *Manager) Networks() ([]*Network, error) {
	entries, err := os.ReadDir(m.roots.Networks())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []*Network
	seen := map[string]bool{}
	for _, e := range entries {
		file := e.Name()
		if draft, ok := statefile.DraftOf(file); ok {
			file = draft
		}
		name, ok := strings.CutSuffix(file, ".json")
		if !ok || strings.HasPrefix(name, ".") || seen[name] {
			continue
		}
		seen[name] = true
		n, err := m.Network(name)
		if errors.Is(err, ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

// unnamed is what a file is called before it has its name.
func unnamed(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
}

// writeLive replaces a file that matters only as long as the machine is up: in
// one step for readers, but without waiting for the disk.
func writeLive(path string, data []byte) error {
	tmp := unnamed(path)
	err := os.WriteFile(tmp, data, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = os.WriteFile(tmp, data, 0o600)
		}
	}
	if err != nil {
		return err
	}
	fault.Point("netbridge: before a record's rename")
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	fault.Point("netbridge: after a record's rename")
	return nil
}
