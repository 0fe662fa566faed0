package netbridge

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// zone is what a network's live endpoints are called, kept in step with its run
// directory by the directory's modification time: a query costs one stat(2),
// nothing runs while nobody asks, and it does not matter whose supervisor
// wrote a record.
type zone struct {
	dir, network string

	mu      sync.RWMutex
	stamp   time.Time // of the directory as last read; zero: not to be relied on
	records map[string]*endpointRecord
	names   map[string][]*endpointRecord
	byAddr  map[netip.Addr]*endpointRecord
}

// settled is how old a directory's time stamp must be to be relied on: two
// changes within one tick of the kernel's clock leave the same stamp.
const settled = 50 * time.Millisecond

type zones map[string]*zone // by network ID

func (m *Manager) zone(n *Network) *zone {
	m.mu.Lock()
	defer m.mu.Unlock()
	z := m.zones[n.ID]
	if z == nil {
		z = &zone{dir: m.runNetwork(n.ID), network: n.Name}
		m.zones[n.ID] = z
	}
	return z
}

func (m *Manager) forgetZone(networkID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.zones, networkID)
}

// fresh brings the zone up to date and returns with it locked for reading.
func (z *zone) fresh() {
	info, err := os.Stat(z.dir)
	z.mu.RLock()
	if err == nil && !z.stamp.IsZero() && info.ModTime().Equal(z.stamp) {
		return
	}
	z.mu.RUnlock()
	z.mu.Lock()
	z.load()
	z.mu.Unlock()
	z.mu.RLock()
}

func (z *zone) load() {
	now := time.Now()
	z.stamp = time.Time{}
	info, err := os.Stat(z.dir)
	if err != nil {
		z.records, z.names, z.byAddr = nil, nil, nil
		return
	}
	entries, err := os.ReadDir(z.dir)
	if err != nil {
		return
	}
	records := make(map[string]*endpointRecord, len(entries))
	changed := false
	for _, e := range entries {
		if !isRecord(e.Name()) {
			continue
		}
		// A container's record can be replaced by another after a restart.
		path := filepath.Join(z.dir, e.Name())
		r := z.records[e.Name()]
		info, err := e.Info()
		if err != nil {
			continue
		}
		if v := versionOf(info); r == nil || r.version != v {
			if r, err = readEndpoint(path, filepath.Base(z.dir)); err != nil {
				continue // gone, or no record of ours
			}
			r.version = v
			changed = true
		}
		records[e.Name()] = r
	}
	if changed || len(records) != len(z.records) || z.names == nil {
		z.index(records)
	}
	if now.Sub(info.ModTime()) > settled {
		z.stamp = info.ModTime()
	}
}

// index makes the name tables. A record's own address comes under its
// container name, short ID and aliases, in any letter case.
func (z *zone) index(records map[string]*endpointRecord) {
	z.records = records
	z.names = make(map[string][]*endpointRecord, 3*len(records))
	z.byAddr = make(map[netip.Addr]*endpointRecord, len(records))
	for _, r := range records {
		for _, name := range append([]string{r.ContainerName, shortID(r.ContainerID)}, r.Aliases...) {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			if name != "" && !slices.Contains(z.names[name], r) {
				z.names[name] = append(z.names[name], r)
			}
		}
		z.byAddr[r.IPv4] = r
		if r.IPv6.IsValid() {
			z.byAddr[r.IPv6] = r
		}
	}
}

func (z *zone) lookup(name string) []netip.Addr {
	z.fresh()
	defer z.mu.RUnlock()
	var addrs []netip.Addr
	for _, r := range z.names[name] {
		addrs = append(addrs, r.IPv4)
		if r.IPv6.IsValid() {
			addrs = append(addrs, r.IPv6)
		}
	}
	return addrs
}

func (z *zone) reverse(a netip.Addr) (string, bool) {
	z.fresh()
	defer z.mu.RUnlock()
	r := z.byAddr[a]
	if r == nil {
		return "", false
	}
	return r.name() + "." + z.network, true
}

// view is the names one container sees: those of the networks it is on, in the
// order of its endpoints.
type view struct {
	zones   []*zone
	subnets []netip.Prefix
	extra   map[string][]netip.Addr
}

// Lookup implements dns.Names.
func (v *view) Lookup(name string) ([]netip.Addr, bool) {
	if addrs, ok := v.extra[name]; ok {
		return addrs, true
	}
	if name == "localhost" {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, true
	}
	for _, z := range v.zones {
		if addrs := z.lookup(name); addrs != nil {
			return addrs, true
		}
	}
	for _, z := range v.zones {
		if rest, ok := strings.CutSuffix(name, "."+strings.ToLower(z.network)); ok {
			if addrs := z.lookup(rest); addrs != nil {
				return addrs, true
			}
		}
	}
	return nil, false
}

// Reverse implements dns.Names.
func (v *view) Reverse(a netip.Addr) ([]string, bool) {
	for _, z := range v.zones {
		if name, ok := z.reverse(a); ok {
			return []string{name}, true
		}
	}
	for _, p := range v.subnets {
		if p.Contains(a) {
			return nil, true
		}
	}
	return nil, false
}
