package netbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sync"

	"compose/internal/fault"
	"compose/internal/sparsejson"
	"compose/internal/trace"
	"compose/netbridge/dns"
	"compose/netbridge/rtnl"

	"golang.org/x/sys/unix"
)

// Sandbox is the network side of one container. The namespace lives as long as
// the descriptor here or a process in it does; nothing is mounted anywhere.
type Sandbox struct {
	m   *Manager
	cfg SandboxConfig

	ns        *os.File
	record    sandboxRecord
	listeners []*listener
	udp       *net.UDPConn // the resolver's
	tcp       *net.TCPListener
	server    *dns.Server
	names     *view

	mu     sync.Mutex // of the record too, once the sandbox is made
	files  map[string]*os.File
	closed bool
}

// sandboxRecord is what a container holds, written before it is made:
// <run>/sandboxes/<container id>.json. Release needs nothing else.
type sandboxRecord struct {
	ContainerID   string           `json:"container_id"`
	ContainerName string           `json:"container_name,omitempty"`
	Endpoints     []endpointHolder `json:"endpoints,omitempty"`
	Ports         []PublishedPort  `json:"ports,omitempty"`
	Publications  []publication    `json:"publications,omitempty"`
}

type endpointHolder struct {
	Endpoint
	Veth     string `json:"veth"` // the host's end; a macvlan has none
	Priority int    `json:"priority,omitempty"`
}

// exit is the endpoint that the default route of a family leaves by: the one
// with the highest priority, the first of equals, none that has no way out.
func (r *sandboxRecord) exit(gateway func(*Endpoint) netip.Addr) *Endpoint {
	var best *endpointHolder
	for i := range r.Endpoints {
		if e := &r.Endpoints[i]; gateway(&e.Endpoint).IsValid() && (best == nil || e.Priority > best.Priority) {
			best = e
		}
	}
	if best == nil {
		return nil
	}
	return &best.Endpoint
}

func gateway4(e *Endpoint) netip.Addr { return e.Gateway }
func gateway6(e *Endpoint) netip.Addr { return e.Gateway6 }

// NetNS is the container's network namespace. It belongs to the sandbox.
func (s *Sandbox) NetNS() *os.File { return s.ns }

// Endpoints are the container's interfaces in the order of the request.
func (s *Sandbox) Endpoints() []Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Endpoint, len(s.record.Endpoints))
	for i, e := range s.record.Endpoints {
		all[i] = e.Endpoint
	}
	return all
}

// Ports are the published ports in force.
func (s *Sandbox) Ports() []PublishedPort { return s.record.Ports }

// NewSandbox makes the network namespace of a container with everything in it:
// interfaces, addresses, routes, published ports and the resolver, which
// answers when NewSandbox returns. What fails half-way is taken back.
func (m *Manager) NewSandbox(ctx context.Context, cfg SandboxConfig) (_ *Sandbox, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(m.sandboxRecord(cfg.ContainerID)); err == nil {
		// Left by an earlier life of the container that ended in a crash.
		if err := m.Release(ctx, cfg.ContainerID); err != nil {
			return nil, err
		}
	}
	s := &Sandbox{m: m, cfg: cfg, record: sandboxRecord{ContainerID: cfg.ContainerID, ContainerName: cfg.ContainerName}}
	defer func() {
		if err != nil {
			_ = s.Close(context.WithoutCancel(ctx))
		}
	}()
	planning := trace.Begin("claim addresses", cfg.ContainerName)
	plans, err := m.plan(ctx, cfg, &s.record)
	planning.End()
	defer func() {
		for _, p := range plans {
			p.hold.Drop()
		}
	}()
	if err != nil {
		return nil, err
	}
	if to := s.portTargets(); to.any() { // nothing from outside reaches an internal network
		if err := s.reserve(to); err != nil {
			return nil, err
		}
	}
	if err := m.writeSandbox(&s.record); err != nil {
		return nil, fmt.Errorf("record the network of %s: %w", cfg.ContainerName, err)
	}
	if err := s.makeNamespace(plans); err != nil {
		return nil, fmt.Errorf("make the network of container %s: %w", cfg.ContainerName, err)
	}
	announcing := trace.Begin("publish its ports and names", cfg.ContainerName)
	defer announcing.End()
	if err := m.publish(s.record.Publications); err != nil {
		return nil, err
	}
	if err := m.announce(&s.record); err != nil {
		return nil, err
	}
	s.serve()
	s.happened("connect", s.record.Endpoints...)
	return s, nil
}

// plan decides on every endpoint: address, MAC, names. Addresses are claimed
// and the networks held, by what is planned when it fails too.
func (m *Manager) plan(ctx context.Context, cfg SandboxConfig, record *sandboxRecord) ([]*endpointPlan, error) {
	var plans []*endpointPlan
	interfaces := names{}
	if err := interfaces.choose(cfg.Endpoints...); err != nil {
		return nil, err
	}
	for _, want := range cfg.Endpoints {
		p, err := m.planEndpoint(ctx, cfg.ContainerID, interfaces, want)
		if p != nil {
			record.Endpoints = append(record.Endpoints, endpointHolder{Endpoint: p.endpoint, Veth: p.veth, Priority: p.priority})
			plans = append(plans, p)
		}
		if err != nil {
			return plans, err
		}
	}
	return plans, nil
}

func (m *Manager) writeSandbox(r *sandboxRecord) error {
	data, err := sparsejson.Marshal(r)
	if err != nil {
		return err
	}
	return writeLive(m.sandboxRecord(r.ContainerID), data)
}

// announce lets the resolvers of every container on the networks see a container.
func (m *Manager) announce(r *sandboxRecord) error {
	for _, e := range r.Endpoints {
		if err := m.announceOn(r, e); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) announceOn(r *sandboxRecord, e endpointHolder) error {
	record, name := m.sandboxRecord(r.ContainerID), m.endpointPath(e.NetworkID, r.ContainerID)
	fault.Point("netbridge: before an endpoint's name")
	err := os.Link(record, name)
	if errors.Is(err, fs.ErrExist) {
		err = replaceLink(record, name)
	}
	if err != nil {
		return fmt.Errorf("record the endpoint of %s on network %s: %w", r.ContainerName, e.Network, err)
	}
	return nil
}

// replaceLink makes an existing name another name of a file. At any moment the
// name is there: without it a network seems to be free to be removed.
func replaceLink(file, name string) error {
	tmp := unnamed(name)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(file, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	// Where both names were the file's before, rename(2) has done nothing.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// publish puts ports in force, on a table that somebody may have flushed away.
func (m *Manager) publish(ports []publication) error {
	if len(ports) == 0 {
		return nil
	}
	err := m.fw.publish(ports)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lock, err := lockHost()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	return m.rebuildFirewall() // the record is written: our ports are among them
}

// Close gives back everything the sandbox holds. It may be called again, and
// does all it can where a step fails.
func (s *Sandbox) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	err := errors.Join(s.m.withdraw(&s.record), s.deleteMacvlans(s.record.Endpoints...))
	fault.Point("netbridge: sandbox withdrawn")
	if s.server != nil { // or it had never come to them
		s.happened("disconnect", s.record.Endpoints...)
	}
	s.server.Close()
	for _, l := range s.listeners {
		l.close()
	}
	for _, f := range s.files {
		if f != s.ns {
			f.Close()
		}
	}
	if s.udp != nil {
		s.udp.Close()
	}
	if s.tcp != nil {
		s.tcp.Close()
	}
	if s.ns != nil {
		s.m.letGoLater(s.ns)
		s.ns = nil
	}
	err = errors.Join(err, s.m.vacate(&s.record))
	s.closed = err == nil
	return err
}

// withdraw takes a container out of name resolution, its ports out of force and
// its interfaces off the wire. The kernel takes the interfaces themselves away
// with the namespace, in its own time; until then they must not answer for an
// address that the next container may have already.
func (m *Manager) withdraw(r *sandboxRecord) error {
	var errs []error
	for _, e := range r.Endpoints {
		if err := os.Remove(m.endpointPath(e.NetworkID, r.ContainerID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, m.fw.unpublish(r.Publications))
	errs = append(errs, m.eachVeth(r, (*rtnl.Batch).Mute))
	return errors.Join(errs...)
}

// eachVeth does one thing to each of the host's ends that are still there.
func (m *Manager) eachVeth(r *sandboxRecord, do func(*rtnl.Batch, string)) error {
	if len(r.Endpoints) == 0 {
		return nil
	}
	s, err := m.netlink()
	if err != nil {
		return err
	}
	b := new(rtnl.Batch)
	for _, e := range r.Endpoints {
		if e.Veth != "" {
			do(b, e.Veth)
		}
	}
	results, err := s.Do(b)
	for _, r := range results {
		switch {
		case r == nil, errors.Is(r, unix.ENODEV):
		case errors.Is(r, unix.EOPNOTSUPP), errors.Is(r, unix.ENETDOWN): // no port any more, or a dead one
		default:
			err = errors.Join(err, r)
		}
	}
	return err
}

// vacate gives a container's addresses back and then forgets the container.
func (m *Manager) vacate(r *sandboxRecord) error {
	for _, e := range r.Endpoints {
		if err := m.yield(e.NetworkID, r.ContainerID); err != nil {
			return err
		}
	}
	fault.Point("netbridge: addresses given back")
	if err := os.Remove(m.sandboxRecord(r.ContainerID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
