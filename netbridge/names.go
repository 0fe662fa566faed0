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
		for _, a := range r.addresses() {
			z.byAddr[a] = r
		}
	}
}

func (z *zone) lookup(name string) []netip.Addr {
	z.fresh()
	defer z.mu.RUnlock()
	var addrs []netip.Addr
	for _, r := range z.names[name] {
		addrs = append(addrs, r.addresses()...)
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
	extra map[string][]netip.Addr

	mu      sync.RWMutex
	zones   []*zone
	links   []map[string][]string // by zone: names that are this container's own for others
	subnets []netip.Prefix
	outside bool // the container has a way to the world's name servers
}

// set takes over the endpoints that the sandbox has now.
func (v *view) set(s *Sandbox) {
	var zones []*zone
	var links []map[string][]string
	var subnets []netip.Prefix
	outside := false
	for _, e := range s.record.Endpoints {
		links = append(links, linkNames(e.Links))
		zones = append(zones, s.m.zone(&Network{ID: e.NetworkID, Name: e.Network}))
		if e.IPv4.IsValid() {
			subnets = append(subnets, netip.PrefixFrom(e.IPv4, e.IPv4Bits).Masked())
		}
		if e.IPv6.IsValid() {
			subnets = append(subnets, netip.PrefixFrom(e.IPv6, e.IPv6Bits).Masked())
		}
		outside = outside || e.Out()
	}
	v.mu.Lock()
	v.zones, v.links, v.subnets, v.outside = zones, links, subnets, outside
	v.mu.Unlock()
}

// linkNames are the names that each alias of "name:alias" stands for.
func linkNames(links []string) map[string][]string {
	var all map[string][]string
	for _, link := range links {
		name, alias, ok := strings.Cut(strings.ToLower(link), ":")
		if !ok {
			alias = name
		}
		if all == nil {
			all = map[string][]string{}
		}
		all[alias] = append(all[alias], name)
	}
	return all
}

func (v *view) out() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.outside
}

func (v *view) networks() ([]*zone, []netip.Prefix) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.zones, v.subnets
}

// linked are the addresses of what the container calls by that name.
func (v *view) linked(name string) (addrs []netip.Addr) {
	v.mu.RLock()
	zones, links := v.zones, v.links
	v.mu.RUnlock()
	for i, z := range zones {
		for _, target := range links[i][name] {
			for _, a := range z.lookup(target) {
				if !slices.Contains(addrs, a) {
					addrs = append(addrs, a)
				}
			}
		}
	}
	return addrs
}

// Lookup implements dns.Names.
func (v *view) Lookup(name string) ([]netip.Addr, bool) {
	if addrs, ok := v.extra[name]; ok {
		return addrs, true
	}
	if name == "localhost" {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, true
	}
	if addrs := v.linked(name); addrs != nil {
		return addrs, true
	}
	zones, _ := v.networks()
	for _, z := range zones {
		if addrs := z.lookup(name); addrs != nil {
			return addrs, true
		}
	}
	for _, z := range zones {
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
	zones, subnets := v.networks()
	for _, z := range zones {
		if name, ok := z.reverse(a); ok {
			return []string{name}, true
		}
	}
	for _, p := range subnets {
		if p.Contains(a) {
			return nil, true
		}
	}
	return nil, false
}
