package netbridge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"compose/internal/statefile"
)

// CreateNetwork makes a network: a record, a bridge, the firewall's part. The
// error matches ErrExists where the name is taken.
func (m *Manager) CreateNetwork(ctx context.Context, cfg NetworkConfig) (*Network, error) {
	n, err := newNetwork(cfg)
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", cfg.Name, err)
	}
	lock, err := lockHost()
	if err != nil {
		return nil, fmt.Errorf("take the host's network lock: %w", err)
	}
	defer lock.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := m.Network(n.Name); err == nil {
		return nil, fmt.Errorf("network %s: %w", n.Name, ErrExists)
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	n.Bridge = "cb" + m.tag + n.ID[:4]
	if err := m.addSubnets(n); err != nil {
		return nil, fmt.Errorf("network %s: %w", n.Name, err)
	}
	// The record comes first: whatever a crash leaves of the rest is found
	// by it and completed by EnsureUp or removed by RemoveNetwork.
	if err := os.MkdirAll(m.roots.Networks(), 0o700); err != nil {
		return nil, err
	}
	if err := statefile.WriteJSON(m.recordPath(n.Name), n); err != nil {
		return nil, err
	}
	if err := m.up(n); err != nil {
		_ = m.down(n)
		_ = os.Remove(m.recordPath(n.Name))
		return nil, fmt.Errorf("network %s: %w", n.Name, err)
	}
	return n, nil
}

func newNetwork(cfg NetworkConfig) (*Network, error) {
	if !networkName.MatchString(cfg.Name) {
		return nil, fmt.Errorf("bad name %q: letters, digits, \"_\", \".\" and \"-\" only, a letter or digit first, at most 128", cfg.Name)
	}
	if cfg.Driver != "" && cfg.Driver != "bridge" {
		return nil, fmt.Errorf("unknown driver %q: this engine makes networks with driver \"bridge\" (\"host\" and \"none\" are network modes of a container)", cfg.Driver)
	}
	var id [32]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	n := &Network{
		Version: recordVersion, ID: hex.EncodeToString(id[:]), Name: cfg.Name, Driver: "bridge",
		Internal: cfg.Internal, Attachable: cfg.Attachable, EnableIPv6: cfg.EnableIPv6,
		Options: cfg.Options, Labels: cfg.Labels, Created: time.Now().UTC(),
	}
	for _, s := range cfg.Subnets {
		if err := s.complete(); err != nil {
			return nil, err
		}
		if s.Prefix.Addr().Is6() {
			n.EnableIPv6 = true
		}
		for _, o := range n.Subnets {
			if o.Prefix.Overlaps(s.Prefix) {
				return nil, fmt.Errorf("its subnets %s and %s overlap", o.Prefix, s.Prefix)
			}
		}
		n.Subnets = append(n.Subnets, s)
	}
	return n, nil
}

// addSubnets checks the subnets asked for against the host and chooses those
// that were left to us. The host lock is held.
func (m *Manager) addSubnets(n *Network) error {
	taken, err := m.taken(n.Name)
	if err != nil {
		return err
	}
	for _, s := range n.Subnets {
		if s.Auto {
			continue
		}
		if t := overlapping(s.Prefix, taken); t.IsValid() {
			return fmt.Errorf("subnet %s overlaps %s, which this host uses already; choose another", s.Prefix, t)
		}
	}
	choose := func(four bool, free func([]netip.Prefix) (netip.Prefix, error)) error {
		for _, s := range n.Subnets {
			if s.Prefix.Addr().Is4() == four {
				return nil
			}
		}
		p, err := free(taken)
		if err != nil {
			return err
		}
		n.Subnets = append(n.Subnets, Subnet{Prefix: p, Gateway: p.Addr().Next(), Auto: true})
		return nil
	}
	if err := choose(true, freeSubnet4); err != nil {
		return err
	}
	if n.EnableIPv6 {
		return choose(false, freeSubnet6)
	}
	return nil
}

// taken lists every prefix that a new network must keep away from: the
// addresses and routes of the host (among them the bridges of every root),
// its name servers, and the networks on record here that are not up.
func (m *Manager) taken(except string) ([]netip.Prefix, error) {
	s, err := m.netlink()
	if err != nil {
		return nil, err
	}
	taken, err := s.Prefixes()
	if err != nil {
		return nil, fmt.Errorf("list the host's addresses and routes: %w", err)
	}
	for _, a := range hostNameservers() {
		if !a.Addr().IsLoopback() {
			taken = append(taken, netip.PrefixFrom(a.Addr().WithZone(""), a.Addr().BitLen()))
		}
	}
	all, err := m.Networks()
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n.Name == except {
			continue
		}
		for _, s := range n.Subnets {
			taken = append(taken, s.Prefix)
		}
	}
	return taken, nil
}

// EnsureUp makes what a reboot took of a network: bridge, addresses, firewall.
func (m *Manager) EnsureUp(ctx context.Context, name string) error {
	n, err := m.Network(name)
	if err != nil {
		return err
	}
	lock, err := lockHost()
	if err != nil {
		return fmt.Errorf("take the host's network lock: %w", err)
	}
	defer lock.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.up(n); err != nil {
		return fmt.Errorf("network %s: %w", name, err)
	}
	return nil
}

// up completes the kernel's side of a network. The host lock is held.
func (m *Manager) up(n *Network) error {
	if !m.bridgeUp(n.Bridge) {
		// Nothing can live on a bridge that is not there.
		if err := os.RemoveAll(m.runNetwork(n.ID)); err != nil {
			return err
		}
		if err := m.renumber(n); err != nil {
			return err
		}
		if err := m.makeBridge(n); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(m.runNetwork(n.ID), 0o700); err != nil {
		return err
	}
	present, err := m.fw.present()
	if err != nil {
		return fmt.Errorf("look for the nftables table: %w", err)
	}
	if present {
		err = m.fw.addNetwork(n)
	} else {
		err = m.rebuildFirewall()
	}
	if err != nil {
		return err
	}
	return m.fw.passForeign()
}

// renumber replaces subnets that were ours to choose and that now collide with
// something else on the host.
func (m *Manager) renumber(n *Network) error {
	taken, err := m.taken(n.Name)
	if err != nil {
		return err
	}
	var keep []Subnet
	for _, s := range n.Subnets {
		t := overlapping(s.Prefix, taken)
		if t.IsValid() && !s.Auto {
			return fmt.Errorf("subnet %s overlaps %s, which this host uses by now; remove one of the two", s.Prefix, t)
		}
		if !t.IsValid() {
			keep = append(keep, s)
		}
	}
	if len(keep) == len(n.Subnets) {
		return nil
	}
	n.Subnets = keep
	if err := m.addSubnets(n); err != nil {
		return err
	}
	return statefile.WriteJSON(m.recordPath(n.Name), n)
}

// RemoveNetwork removes a network. The error matches ErrInUse while containers
// are on it and ErrNotFound where there is none.
func (m *Manager) RemoveNetwork(ctx context.Context, name string) error {
	lock, err := lockHost()
	if err != nil {
		return fmt.Errorf("take the host's network lock: %w", err)
	}
	defer lock.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := m.Network(name)
	if err != nil {
		return err
	}
	live, err := readEndpoints(m.runNetwork(n.ID))
	if err != nil {
		return err
	}
	if len(live) > 0 {
		e := &InUseError{Network: name}
		for _, r := range live {
			e.Containers = append(e.Containers, r.name())
		}
		return e
	}
	if err := m.down(n); err != nil {
		return fmt.Errorf("network %s: %w", name, err)
	}
	m.forgetZone(n.ID)
	if err := os.Remove(m.recordPath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return statefile.SyncDir(m.roots.Networks())
}

// down removes the kernel's side and the live records. The host lock is held.
func (m *Manager) down(n *Network) error {
	if err := m.removeBridge(n.Bridge); err != nil {
		return err
	}
	if err := os.RemoveAll(m.runNetwork(n.ID)); err != nil {
		return err
	}
	others, err := m.Networks()
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID != n.ID && m.bridgeUp(o.Bridge) {
			return m.fw.removeNetwork(n)
		}
	}
	_ = os.Remove(filepath.Join(m.roots.Run, "networks"))
	if err := m.fw.remove(); err != nil {
		return err
	}
	return m.fw.withdrawForeign()
}

// rebuildFirewall makes the table anew from the records.
func (m *Manager) rebuildFirewall() error {
	all, err := m.Networks()
	if err != nil {
		return err
	}
	var up []*Network
	for _, n := range all {
		if m.bridgeUp(n.Bridge) {
			up = append(up, n)
		}
	}
	ports, err := m.publications()
	if err != nil {
		return err
	}
	return m.fw.rebuild(up, ports)
}
