package netbridge

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"compose/internal/fault"
)

// firewall is the one nftables table of a root. Its chains never change while
// it exists: networks and published ports are elements of its sets and maps,
// so a packet's way is as long with a thousand networks as with one, and any
// change is one small transaction.
type firewall struct {
	table   string
	bridges string // what the names of this root's bridges begin with, those apart that the user has named
	host    *hostNS

	mu   sync.Mutex
	conn *nftables.Conn
}

// publication is a published port as the table knows it.
type publication struct {
	Protocol string     `json:"protocol"`
	HostIP   netip.Addr `json:"host_ip"` // unspecified: every local address of its family
	HostPort uint16     `json:"host_port"`
	Target   netip.Addr `json:"target"`
	Port     uint16     `json:"port"`
	Open     bool       `json:"open,omitempty"` // not translated: HostIP and HostPort are the container's own
}

func (f *firewall) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != nil {
		_ = f.conn.CloseLasting()
		f.conn = nil
	}
}

// begin locks the firewall and returns its connection, in the host's namespace.
func (f *firewall) begin() (*nftables.Conn, error) {
	f.mu.Lock()
	if f.conn != nil {
		return f.conn, nil
	}
	err := f.host.run(func() error {
		var err error
		f.conn, err = nftables.New(nftables.AsLasting())
		return err
	})
	if err != nil {
		f.mu.Unlock()
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return f.conn, nil
}

// flush commits what was queued. After a failed conversation the socket may
// hold answers that nobody read, so it is replaced.
func (f *firewall) flush(c *nftables.Conn) error {
	fault.Point("firewall: before a change")
	defer fault.Point("firewall: after a change")
	err := c.Flush()
	if err != nil {
		_ = c.CloseLasting()
		f.conn = nil
	}
	return err
}

// present says whether the table exists.
func (f *firewall) present() (bool, error) {
	c, err := f.begin()
	if err != nil {
		return false, err
	}
	defer f.mu.Unlock()
	_, err = c.ListTableOfFamily(f.table, nftables.TableFamilyINet)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// rebuild makes the table anew with the networks and ports given, replacing in
// one transaction what there was.
func (f *firewall) rebuild(networks []*Network, ports []publication) error {
	c, err := f.begin()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	t := &nftables.Table{Name: f.table, Family: nftables.TableFamilyINet}
	c.AddTable(t)
	c.DelTable(t)
	c.AddTable(t)
	sets := newSets(t)
	for _, s := range sets.all() {
		if err := c.AddSet(s, nil); err != nil {
			return err
		}
	}
	addChains(c, t, sets)
	for _, n := range networks {
		if err := sets.network(c.SetAddElements, n); err != nil {
			return err
		}
	}
	if err := sets.ports(c.SetAddElements, ports); err != nil {
		return err
	}
	if err := f.flush(c); err != nil {
		return fmt.Errorf("make the nftables table %s: %w", f.table, err)
	}
	return nil
}

// remove deletes the table. That it is gone already is no error.
func (f *firewall) remove() error {
	c, err := f.begin()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	t := &nftables.Table{Name: f.table, Family: nftables.TableFamilyINet}
	c.AddTable(t)
	c.DelTable(t)
	if err := f.flush(c); err != nil {
		return fmt.Errorf("delete the nftables table %s: %w", f.table, err)
	}
	return nil
}

type elementsFunc func(*nftables.Set, []nftables.SetElement) error

// change queues and commits one change of elements.
func (f *firewall) change(what string, queue func(c *nftables.Conn, s *sets) error) error {
	c, err := f.begin()
	if err != nil {
		return err
	}
	defer f.mu.Unlock()
	if err := queue(c, newSets(&nftables.Table{Name: f.table, Family: nftables.TableFamilyINet})); err != nil {
		return err
	}
	if err := f.flush(c); err != nil {
		return fmt.Errorf("%s in the nftables table %s: %w", what, f.table, err)
	}
	return nil
}

func (f *firewall) addNetwork(n *Network) error {
	err := f.change("add a network", func(c *nftables.Conn, s *sets) error { return s.network(c.SetAddElements, n) })
	if errors.Is(err, unix.EEXIST) { // left over, or concatenated ranges that are there already
		return nil
	}
	return err
}

func (f *firewall) removeNetwork(n *Network) error {
	err := f.change("remove a network", func(c *nftables.Conn, s *sets) error { return s.network(c.SetDeleteElements, n) })
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// publish puts ports in force. A left-over entry for the same host port, which
// can only be a dead container's as the port itself is reserved, is replaced.
func (f *firewall) publish(ports []publication) error {
	if len(ports) == 0 {
		return nil
	}
	add := func(c *nftables.Conn, s *sets) error { return s.ports(c.SetAddElements, ports) }
	err := f.change("publish ports", add)
	if !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EBUSY) {
		return err
	}
	for _, p := range ports {
		if err := f.unpublish([]publication{p}); err != nil {
			return err
		}
	}
	return f.change("publish ports", add)
}

// unpublish takes ports out of force. That one is gone already is no error.
func (f *firewall) unpublish(ports []publication) error {
	if len(ports) == 0 {
		return nil
	}
	err := f.change("withdraw ports", func(c *nftables.Conn, s *sets) error { return s.ports(c.SetDeleteElements, ports) })
	if !errors.Is(err, unix.ENOENT) || len(ports) == 1 {
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return err
	}
	for _, p := range ports {
		if err := f.unpublish([]publication{p}); err != nil {
			return err
		}
	}
	return nil
}
