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

	mu  sync.Mutex
	nft *nftSocket // nil: none is open
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
	f.hangUp()
}

func (f *firewall) hangUp() {
	if f.nft != nil {
		f.nft.close()
		f.nft = nil
	}
}

// begin locks the firewall and returns its connection, in the host's namespace.
func (f *firewall) begin() (*nftSocket, error) {
	f.mu.Lock()
	if f.nft != nil {
		return f.nft, nil
	}
	err := f.host.run(func() (err error) {
		f.nft, err = openNft()
		return err
	})
	if err != nil {
		f.mu.Unlock()
		return nil, err
	}
	return f.nft, nil
}

// commit carries a transaction out. The firewall is locked. After a failed
// conversation the socket may hold answers that nobody read, so it is closed.
func (f *firewall) commit(b *nftBatch) error {
	transaction, err := b.finish()
	if err != nil {
		return err
	}
	fault.Point("firewall: before a change")
	defer fault.Point("firewall: after a change")
	if err = f.nft.commit(transaction); err != nil {
		f.hangUp()
	}
	return err
}

// there says whether the table is. To try a change and see costs more: the
// kernel takes back what failed only after an RCU grace period.
func (f *firewall) there() (bool, error) {
	if _, err := f.begin(); err != nil {
		return false, err
	}
	defer f.mu.Unlock()
	there, err := f.nft.hasTable(nftables.TableFamilyINet, f.table)
	if err != nil {
		f.hangUp()
		return false, fmt.Errorf("look for the nftables table %s: %w", f.table, err)
	}
	return there, nil
}

// rebuild makes the table anew with the networks and ports given, replacing in
// one transaction what there was.
func (f *firewall) rebuild(networks []*Network, ports []publication) error {
	if _, err := f.begin(); err != nil {
		return err
	}
	defer f.mu.Unlock()
	t := &nftables.Table{Name: f.table, Family: nftables.TableFamilyINet}
	b := newBatch()
	b.addTable(t)
	b.deleteTable(t)
	b.addTable(t)
	sets := newSets(t)
	for _, s := range sets.all() {
		b.addSet(s)
	}
	addChains(b, t, sets)
	for _, n := range networks {
		sets.network(b.addElements, n)
	}
	sets.ports(b.addElements, ports)
	if err := f.commit(b); err != nil {
		return fmt.Errorf("make the nftables table %s: %w", f.table, err)
	}
	return nil
}

// remove deletes the table. That it is gone already is no error.
func (f *firewall) remove() error {
	if _, err := f.begin(); err != nil {
		return err
	}
	defer f.mu.Unlock()
	t := &nftables.Table{Name: f.table, Family: nftables.TableFamilyINet}
	b := newBatch()
	b.addTable(t)
	b.deleteTable(t)
	if err := f.commit(b); err != nil {
		return fmt.Errorf("delete the nftables table %s: %w", f.table, err)
	}
	return nil
}

type elementsFunc func(*nftables.Set, []nftables.SetElement)

// change commits one change of elements.
func (f *firewall) change(what string, encode func(b *nftBatch, s *sets)) error {
	if _, err := f.begin(); err != nil {
		return err
	}
	defer f.mu.Unlock()
	b := newBatch()
	encode(b, newSets(&nftables.Table{Name: f.table, Family: nftables.TableFamilyINet}))
	if err := f.commit(b); err != nil {
		return fmt.Errorf("%s in the nftables table %s: %w", what, f.table, err)
	}
	return nil
}

func (f *firewall) addNetwork(n *Network) error {
	err := f.change("add a network", func(b *nftBatch, s *sets) { s.network(b.addElements, n) })
	if errors.Is(err, unix.EEXIST) { // left over, or concatenated ranges that are there already
		return nil
	}
	return err
}

func (f *firewall) removeNetwork(n *Network) error {
	err := f.change("remove a network", func(b *nftBatch, s *sets) { s.network(b.deleteElements, n) })
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
	add := func(b *nftBatch, s *sets) { s.ports(b.addElements, ports) }
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
	err := f.change("withdraw ports", func(b *nftBatch, s *sets) { s.ports(b.deleteElements, ports) })
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
