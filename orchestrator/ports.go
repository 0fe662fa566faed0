package orchestrator

import (
	"fmt"
	"net/netip"

	"compose/netbridge"
)

// checkPorts reports a port that cannot be published, before anything is
// made: one that two containers of the plan want, and one that something else
// on the host holds. What containers hold that the plan stops does not count.
func checkPorts(h Host, plan *Plan, obs *Observed) error {
	type claim struct {
		service string
		mapping netbridge.PortMapping
	}
	byID := map[string]*Container{}
	for _, c := range obs.Containers {
		byID[c.ID] = c
	}
	starts := map[*Instance]bool{}
	var except []string // containers that will have let go of their ports
	for _, s := range plan.Steps {
		switch op := s.Op.(type) {
		case StartContainer:
			starts[op.Instance] = true
		case StopContainer:
			except = append(except, op.Instance.ID)
		}
	}
	var claims []claim
	for _, s := range plan.Steps {
		switch op := s.Op.(type) {
		case CreateContainer:
			if !starts[op.Instance] {
				continue
			}
			mappings, _, err := ports(op.Service)
			if err != nil {
				return fmt.Errorf("service %q: %w", op.Service.Name, err)
			}
			for _, m := range mappings {
				claims = append(claims, claim{op.Service.Name, m})
			}
		case StartContainer:
			if c := byID[op.Instance.ID]; c != nil {
				for _, m := range c.Spec.Ports {
					claims = append(claims, claim{c.Service, m})
				}
			}
		}
	}
	var ask []netbridge.PortMapping
	for i, c := range claims {
		for _, other := range claims[:i] {
			if !clash(c.mapping, other.mapping) {
				continue
			}
			if c.service == other.service {
				return fmt.Errorf("service %q publishes port %s from more than one container; publish a range of ports, or run one container", c.service, portString(c.mapping))
			}
			return fmt.Errorf("port %s is published by service %q and by service %q; change one of them", portString(c.mapping), other.service, c.service)
		}
		ask = append(ask, c.mapping)
	}
	if len(ask) == 0 {
		return nil
	}
	return h.CheckPorts(ask, except...)
}

// clash says that two mappings name one host port and nothing else: ranges
// and random ports find a place beside others.
func clash(a, b netbridge.PortMapping) bool {
	if a.HostPort == 0 || a.HostPortEnd != 0 || b.HostPortEnd != 0 || a.HostPort != b.HostPort || a.Protocol != b.Protocol {
		return false
	}
	return anyAddress(a.HostIP) || anyAddress(b.HostIP) || a.HostIP == b.HostIP
}

func anyAddress(ip netip.Addr) bool { return !ip.IsValid() || ip.IsUnspecified() }

func portString(m netbridge.PortMapping) string {
	s := fmt.Sprintf("%d/%s", m.HostPort, m.Protocol)
	if m.HostIP.IsValid() {
		s = fmt.Sprintf("%s/%s", netip.AddrPortFrom(m.HostIP, m.HostPort), m.Protocol)
	}
	return s
}
