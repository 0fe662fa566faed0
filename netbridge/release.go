package netbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"compose/netbridge/rtnl"
)

// Release gives back what a container holds, from records alone: for after a
// crash. The container must be dead. It may be called for any container, any
// number of times.
func (m *Manager) Release(ctx context.Context, containerID string) error {
	if containerID == "" || !filepath.IsLocal(containerID) || strings.Contains(containerID, "/") {
		return fmt.Errorf("release the network of %q: not a container ID", containerID)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := readSandbox(m.sandboxRecord(containerID))
	if errors.Is(err, fs.ErrNotExist) {
		r, err = &sandboxRecord{ContainerID: containerID}, nil
	}
	if err != nil {
		// Half a record names nothing; what it held is found below.
		r = &sandboxRecord{ContainerID: containerID}
	}
	err = m.withdraw(r)
	// Something may still hold the container's namespace.
	err = errors.Join(err, m.eachVeth(r, (*rtnl.Batch).DeleteLink))
	err = errors.Join(err, m.sweep(containerID))
	if err != nil {
		return fmt.Errorf("release the network of %s: %w", shortID(containerID), err)
	}
	return m.vacate(r)
}

// Holders are the containers that hold something of any network: a record, the
// name of an endpoint, an address.
func (m *Manager) Holders() (map[string]bool, error) {
	ids := map[string]bool{}
	records := func(dir string) error {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			if isRecord(e.Name()) {
				ids[strings.TrimSuffix(e.Name(), ".json")] = true
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	err := records(filepath.Dir(m.sandboxRecord("x")))
	networks, _ := os.ReadDir(filepath.Join(m.roots.Run, "networks"))
	for _, n := range networks {
		err = errors.Join(err, records(m.runNetwork(n.Name())))
		leaseErr := m.withLeases(n.Name(), 0, func(t *leases) error {
			t.each(func(_ int, _ netip.Addr, id []byte) { ids[string(id)] = true })
			return nil
		})
		if !errors.Is(leaseErr, fs.ErrNotExist) {
			err = errors.Join(err, leaseErr)
		}
	}
	return ids, err
}

// sweep removes what a container left outside its record: the addresses it had
// claimed before it died without one, and names that were never finished.
func (m *Manager) sweep(containerID string) error {
	networks, err := os.ReadDir(filepath.Join(m.roots.Run, "networks"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	remove := func(path string) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	remove(unnamed(m.sandboxRecord(containerID)))
	for _, n := range networks {
		endpoint := m.endpointPath(n.Name(), containerID)
		remove(endpoint)
		remove(unnamed(endpoint))
		errs = append(errs, m.yield(n.Name(), containerID))
	}
	return errors.Join(errs...)
}

func readSandbox(path string) (*sandboxRecord, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(sandboxRecord)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// sandboxes reads what every container of the root holds.
func (m *Manager) sandboxes() ([]*sandboxRecord, error) {
	dir := filepath.Dir(m.sandboxRecord("x"))
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []*sandboxRecord
	for _, e := range entries {
		if !isRecord(e.Name()) {
			continue
		}
		if r, err := readSandbox(filepath.Join(dir, e.Name())); err == nil {
			all = append(all, r)
		}
	}
	return all, nil
}

// publications are the ports of all containers.
func (m *Manager) publications() ([]publication, error) {
	records, err := m.sandboxes()
	if err != nil {
		return nil, err
	}
	seen := map[publication]bool{}
	var all []publication
	for _, r := range records {
		for _, p := range r.Publications {
			key := p
			key.Target, key.Port = p.HostIP, 0 // one host port, one entry
			if !seen[key] {
				seen[key] = true
				all = append(all, p)
			}
		}
	}
	return all, nil
}
