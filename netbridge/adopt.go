package netbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"strconv"
)

// Names of the descriptors in Sandbox.Files; those of ports are PublishedPort.key.
const (
	fileNS          = "netns"
	fileResolverUDP = "resolver.udp"
	fileResolverTCP = "resolver.tcp"
)

// Files are the descriptors that must survive this process for another to
// Adopt the sandbox. They belong to the sandbox: Close closes them.
func (s *Sandbox) Files() map[string]*os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if s.files == nil {
		s.files = map[string]*os.File{}
	}
	keep := func(name string, file func() (*os.File, error)) {
		if s.files[name] != nil {
			return
		}
		if f, err := file(); err == nil {
			s.files[name] = f
		}
	}
	keep(fileNS, func() (*os.File, error) { return s.ns, nil })
	if s.udp != nil {
		keep(fileResolverUDP, s.udp.File)
	}
	if s.tcp != nil {
		keep(fileResolverTCP, s.tcp.File)
	}
	for _, l := range s.listeners {
		keep(l.port.key(), l.file)
	}
	return maps.Clone(s.files)
}

// Adopt takes over the sandbox of a running container from a process that
// died. files are what that process's Files were, as far as they survived;
// what is missing is made anew, by way of the namespace of process pid. On
// success files belong to the sandbox.
func (m *Manager) Adopt(ctx context.Context, cfg SandboxConfig, pid int, endpoints []Endpoint, ports []PublishedPort, files map[string]*os.File) (_ *Sandbox, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Sandbox{m: m, cfg: cfg}
	r, err := readSandbox(m.sandboxRecord(cfg.ContainerID))
	switch {
	case err == nil:
		s.record = *r
	case errors.Is(err, fs.ErrNotExist):
		s.record = sandboxRecord{ContainerID: cfg.ContainerID, ContainerName: cfg.ContainerName, Ports: ports}
		for _, e := range endpoints {
			h := endpointHolder{Endpoint: e}
			if !e.Direct {
				h.Veth = m.vethName(cfg.ContainerID, e.NetworkID, 0)
			}
			s.record.Endpoints = append(s.record.Endpoints, h)
		}
		if err := m.writeSandbox(&s.record); err != nil {
			return nil, fmt.Errorf("adopt the network of %s: %w", cfg.ContainerName, err)
		}
	default:
		return nil, fmt.Errorf("adopt the network of %s: %w", cfg.ContainerName, err)
	}
	if s.ns = files[fileNS]; s.ns == nil {
		if s.ns, err = os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net"); err != nil {
			return nil, fmt.Errorf("adopt the network of %s: %w", cfg.ContainerName, err)
		}
	}
	if err := s.adoptResolver(files); err != nil {
		return nil, fmt.Errorf("adopt the resolver of %s: %w", cfg.ContainerName, err)
	}
	if err := s.adoptPorts(files); err != nil {
		return nil, fmt.Errorf("adopt the ports of %s: %w", cfg.ContainerName, err)
	}
	s.files = files
	if err := s.prune(); err != nil {
		return nil, fmt.Errorf("adopt the network of %s: %w", cfg.ContainerName, err)
	}
	if err := m.announce(&s.record); err != nil {
		return nil, err
	}
	// The last process may have died while they were led elsewhere.
	if err := m.publish(s.record.Publications); err != nil {
		return nil, err
	}
	s.serve()
	return s, nil
}

// adoptResolver takes the resolver's sockets over. A container that has lost its
// last network has them still.
func (s *Sandbox) adoptResolver(files map[string]*os.File) error {
	udp, tcp := files[fileResolverUDP], files[fileResolverTCP]
	if udp == nil || tcp == nil {
		if len(s.record.Endpoints) == 0 {
			return nil
		}
		return (&hostNS{file: s.ns}).run(s.openResolver)
	}
	c, err := net.FilePacketConn(udp)
	if err != nil {
		return err
	}
	s.udp = c.(*net.UDPConn)
	l, err := net.FileListener(tcp)
	if err != nil {
		return err
	}
	s.tcp = l.(*net.TCPListener)
	return nil
}

func (s *Sandbox) adoptPorts(files map[string]*os.File) error {
	return s.m.host.run(func() error {
		for _, p := range s.record.Ports {
			f := files[p.key()]
			if f == nil {
				all, err := (PortMapping{HostIP: p.HostIP, ContainerPort: p.ContainerPort, Protocol: p.Protocol}).bind(p.HostPort)
				if err != nil {
					return err
				}
				s.listeners = append(s.listeners, all...)
				continue
			}
			l := &listener{port: p}
			if p.Protocol == "udp" {
				c, err := net.FilePacketConn(f)
				if err != nil {
					return err
				}
				l.udp = c.(*net.UDPConn)
			} else {
				t, err := net.FileListener(f)
				if err != nil {
					return err
				}
				l.tcp = t.(*net.TCPListener)
			}
			s.listeners = append(s.listeners, l)
		}
		return nil
	})
}
