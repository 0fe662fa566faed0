package netbridge

import (
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

// endpointRecord is a live endpoint as every resolver of the root sees it. It
// is a part of the container's record, which <run>/networks/<network
// id>/<container id>.json is another name (a hard link) of while the endpoint
// is there. A record never changes once it has that name.
type endpointRecord struct {
	ContainerID   string
	ContainerName string
	Aliases       []string
	IPv4          netip.Addr
	IPv6          netip.Addr

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

func (r *endpointRecord) addresses() []netip.Addr {
	var all []netip.Addr
	for _, a := range []netip.Addr{r.IPv4, r.IPv6} {
		if a.IsValid() {
			all = append(all, a)
		}
	}
	return all
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

// readEndpoint reads a container's endpoint on one network.
func readEndpoint(path, networkID string) (*endpointRecord, error) {
	r, err := readSandbox(path)
	if err != nil {
		return nil, err
	}
	for _, e := range r.Endpoints {
		if e.NetworkID == networkID {
			return &endpointRecord{
				ContainerID: r.ContainerID, ContainerName: r.ContainerName,
				Aliases: e.Aliases, IPv4: e.IPv4, IPv6: e.IPv6,
			}, nil
		}
	}
	return nil, fmt.Errorf("read %s: not a record of network %s", path, networkID)
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
		r, err := readEndpoint(filepath.Join(dir, e.Name()), filepath.Base(dir))
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
