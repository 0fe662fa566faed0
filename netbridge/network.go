package netbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"compose/internal/fault"
	"compose/internal/filelock"
	"compose/internal/objectname"
	"compose/internal/statefile"
	"compose/internal/trace"
)

// CreateNetwork makes a network: a record, a bridge, the firewall's part. The
// error matches ErrExists where the name is taken.
func (m *Manager) CreateNetwork(ctx context.Context, cfg NetworkConfig) (*Network, error) {
	n, err := newNetwork(cfg)
	if err != nil {
		return nil, fmt.Errorf("network %s: %w", cfg.Name, err)
	}
	defer trace.Begin("create the network", n.Name).End()
	lock, err := lockHost()
	if err != nil {
		return nil, fmt.Errorf("take the host's network lock: %w", err)
	}
	defer lock.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	statefile.Sweep(m.roots.Networks())
	if _, err := m.Network(n.Name); err == nil {
		return nil, fmt.Errorf("network %s: %w", n.Name, ErrExists)
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if err := m.nameBridge(n); err != nil {
		return nil, fmt.Errorf("network %s: %w", n.Name, err)
	}
	if err := m.addSubnets(n); err != nil {
		return nil, fmt.Errorf("network %s: %w", n.Name, err)
	}
	// The record comes first: whatever a crash leaves of the rest is found
	// by it and completed by EnsureUp or removed by RemoveNetwork.
	if err := os.MkdirAll(m.roots.Networks(), 0o700); err != nil {
		return nil, err
	}
	record := m.recordPath(n.Name)
	if err := statefile.WriteDraft(record, n); err != nil {
		return nil, err
	}
	fault.Point("netbridge: record drafted")
	settled := make(chan error, 1)
	go func() { settled <- statefile.Settle(record) }()
	err = m.up(n)
	if err := errors.Join(err, <-settled); err != nil {
		_ = m.down(n)
		_ = statefile.Discard(record)
		return nil, fmt.Errorf("network %s: %w", n.Name, err)
	}
	m.happened(n, "create")
	return n, nil
}

func newNetwork(cfg NetworkConfig) (*Network, error) {
	if !validName(cfg.Name) {
		return nil, fmt.Errorf("bad name %q: letters, digits, \"_\", \".\" and \"-\" only, a letter or digit first, at most 128", cfg.Name)
	}
	if cfg.Driver == "" {
		cfg.Driver = "bridge"
	}
	if cfg.Driver != "bridge" && cfg.Driver != "macvlan" {
		return nil, fmt.Errorf("unknown driver %q: this engine makes networks with the drivers bridge and macvlan (\"host\" and \"none\" are network modes of a container)", cfg.Driver)
	}
	n := &Network{
		Version: recordVersion, ID: objectname.NewID(), Name: cfg.Name, Driver: cfg.Driver,
		Internal: cfg.Internal, Attachable: cfg.Attachable, EnableIPv6: cfg.EnableIPv6, NoIPv4: cfg.NoIPv4,
		Options: cfg.Options, Labels: cfg.Labels, Created: time.Now().UTC(),
	}
	if n.Driver == "macvlan" && n.Options[optionParent] == "" {
		n.Internal = true
	}
	if err := n.checkOptions(); err != nil {
		return nil, err
	}
	for _, s := range cfg.Subnets {
		outside := s.Gateway // a macvlan's is another machine, or nobody
		if err := s.complete(); err != nil {
			return nil, err
		}
		if n.Driver == "macvlan" {
			s.Gateway = outside
		}
		if s.Prefix.Addr().Is4() && n.NoIPv4 {
			return nil, fmt.Errorf("it has the IPv4 subnet %s but enable_ipv4: false; leave out one of the two", s.Prefix)
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
	if n.NoIPv4 && !n.EnableIPv6 {
		return nil, errors.New("IPv4 or IPv6 must be enabled")
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
		if s.Auto || n.Driver == "macvlan" { // which is a part of a network that the host is on
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
		s := Subnet{Prefix: p, Auto: true}
		if n.Driver == "bridge" {
			s.Gateway = p.Addr().Next()
		}
		n.Subnets = append(n.Subnets, s)
		return nil
	}
	if !n.NoIPv4 {
		if err := choose(true, freeSubnet4); err != nil {
			return err
		}
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
	if err := ctx.Err(); err != nil {
		return err
	}
	// All containers of a stack ask for it at once.
	return m.ups.Do(name, func() error { return m.ensureUp(name) })
}

func (m *Manager) ensureUp(name string) error {
	lock, err := lockHost()
	if err != nil {
		return fmt.Errorf("take the host's network lock: %w", err)
	}
	defer lock.Unlock()
	// Not before: somebody may have removed it while we waited.
	n, err := m.Network(name)
	if err != nil {
		return err
	}
	if err := statefile.Settle(m.recordPath(name)); err != nil { // whoever drafted it was killed
		return err
	}
	if n.Driver == "bridge" && !m.bridgeUp(n.Bridge) {
		err = m.renumber(n)
	}
	if err == nil {
		err = m.up(n)
	}
	if err != nil {
		return fmt.Errorf("network %s: %w", name, err)
	}
	return nil
}

// up completes the kernel's side of a network, whose subnets collide with
// nothing. The host lock is held.
func (m *Manager) up(n *Network) error {
	defer trace.Begin("take the network up", n.Name).End()
	hasTable := true // as a rule, where there is a bridge
	if !m.bridgeUp(n.Bridge) {
		// Nothing can live on a bridge that is not there.
		if err := os.RemoveAll(m.runNetwork(n.ID)); err != nil {
			return err
		}
		if n.Driver == "macvlan" {
			if err := m.makeParent(n); err != nil {
				return err
			}
		} else {
			if err := m.makeBridge(n); err != nil {
				return err
			}
			var err error
			if hasTable, err = m.fw.there(); err != nil {
				return err
			}
		}
	}
	if err := os.MkdirAll(m.runNetwork(n.ID), 0o700); err != nil {
		return err
	}
	if n.Driver == "macvlan" {
		return nil // it does not pass the host
	}
	err := fs.ErrNotExist
	if hasTable {
		err = m.fw.addNetwork(n)
	}
	if errors.Is(err, fs.ErrNotExist) { // or it is of a version that had fewer sets
		err = m.rebuildFirewall()
	}
	if err != nil {
		return err
	}
	return m.fw.passForeign(n)
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
	return statefile.WriteKept(m.recordPath(n.Name), n)
}

// holdNetwork takes a network up if need be and keeps it from being removed
// while an endpoint is made on it, of which no record speaks yet. The lock is
// on the network's run directory.
func (m *Manager) holdNetwork(ctx context.Context, name string) (*Network, *filelock.Lock, error) {
	for {
		n, err := m.Network(name)
		if err != nil {
			return nil, nil, err
		}
		dir, err := os.Open(m.runNetwork(n.ID))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !m.bridgeUp(n.Bridge) {
			dir.Close()
			if err := m.EnsureUp(ctx, name); err != nil {
				return nil, nil, err
			}
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		lock, err := filelock.ShareFile(dir)
		if err != nil {
			dir.Close()
			return nil, nil, err
		}
		// It may have been removed, and made again, before the lock was ours.
		locked, err := dir.Stat()
		if err == nil && m.bridgeUp(n.Bridge) {
			if current, err := os.Stat(m.runNetwork(n.ID)); err == nil && os.SameFile(locked, current) {
				return n, lock, nil
			}
		}
		lock.Drop()
	}
}

// unheld locks a network against holdNetwork; nil stands for a network that is
// not up.
func (m *Manager) unheld(n *Network) (*filelock.Lock, error) {
	dir, err := os.Open(m.runNetwork(n.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lock, err := filelock.TryFile(dir)
	if errors.Is(err, filelock.ErrHeld) {
		err = &InUseError{Network: n.Name, Containers: []string{"a container that is being started"}}
	}
	if err != nil {
		dir.Close()
	}
	return lock, err
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
	alone, err := m.unheld(n)
	if err != nil {
		return err
	}
	defer alone.Unlock()
	statefile.Sweep(m.roots.Networks())
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
	fault.Point("netbridge: network down")
	m.forgetZone(n.ID)
	if err := statefile.Discard(m.recordPath(name)); err != nil {
		return err
	}
	m.happened(n, "destroy")
	return statefile.SyncDir(m.roots.Networks())
}

// down removes the kernel's side and the live records. The host lock is held.
func (m *Manager) down(n *Network) error {
	if n.Driver == "macvlan" {
		return m.dropParent(n)
	}
	// Whoever finds no run directory completes a network before using it. That
	// lets what is left be half gone, and go side by side: the kernel waits for
	// its readers with either.
	if err := os.RemoveAll(m.runNetwork(n.ID)); err != nil {
		return err
	}
	fault.Point("netbridge: run directory removed")
	others, err := m.Networks()
	if err != nil {
		return err
	}
	last := !slices.ContainsFunc(others, func(o *Network) bool {
		return o.ID != n.ID && o.Driver == "bridge" && m.bridgeUp(o.Bridge)
	})
	if last {
		_ = os.Remove(filepath.Join(m.roots.Run, "networks"))
	}
	closed := make(chan error, 1)
	go func() { closed <- m.closeFirewall(n, last) }()
	removing := trace.Begin("remove the bridge", n.Name)
	err = m.removeBridge(n.Bridge)
	removing.End()
	fault.Point("netbridge: bridge removed")
	return errors.Join(err, <-closed)
}

// closeFirewall takes away the firewall's part of a network, and with the last
// network all of it.
func (m *Manager) closeFirewall(n *Network, last bool) error {
	defer trace.Begin("close the firewall", n.Name).End()
	if !last {
		return errors.Join(m.fw.removeNetwork(n), m.fw.withdrawForeign(n))
	}
	if err := m.fw.remove(); err != nil {
		return err
	}
	return m.fw.withdrawForeign(nil)
}

// rebuildFirewall makes the table anew from the records.
func (m *Manager) rebuildFirewall() error {
	all, err := m.Networks()
	if err != nil {
		return err
	}
	var up []*Network
	for _, n := range all {
		if n.Driver == "bridge" && m.bridgeUp(n.Bridge) {
			up = append(up, n)
		}
	}
	ports, err := m.publications()
	if err != nil {
		return err
	}
	return m.fw.rebuild(up, ports)
}
