package orchestrator

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
	"compose/netbridge"
)

// ports turns `ports` into mappings and, with `expose`, into the list of
// ports that the container says it listens on.
func ports(s types.ServiceConfig) (published []netbridge.PortMapping, exposed []string, err error) {
	for _, p := range s.Ports {
		m, err := portMapping(p)
		if err != nil {
			return nil, nil, err
		}
		published = append(published, m)
		exposed = append(exposed, fmt.Sprintf("%d/%s", m.ContainerPort, m.Protocol))
	}
	for _, e := range s.Expose {
		list, err := exposedPorts(e)
		if err != nil {
			return nil, nil, err
		}
		exposed = append(exposed, list...)
	}
	slices.Sort(exposed)
	return published, slices.Compact(exposed), nil
}

func portMapping(p types.ServicePortConfig) (netbridge.PortMapping, error) {
	m := netbridge.PortMapping{Protocol: strings.ToLower(p.Protocol)}
	if m.Protocol == "" {
		m.Protocol = "tcp"
	}
	if m.Protocol != "tcp" && m.Protocol != "udp" {
		return m, fmt.Errorf("ports: protocol %q of port %d is not supported; use tcp or udp", p.Protocol, p.Target)
	}
	if p.Target == 0 || p.Target > 65535 {
		return m, fmt.Errorf("ports: container port %d is not between 1 and 65535", p.Target)
	}
	m.ContainerPort = uint16(p.Target)
	if p.HostIP != "" {
		ip, err := netip.ParseAddr(strings.Trim(p.HostIP, "[]"))
		if err != nil {
			return m, fmt.Errorf("ports: host address %q of port %d is not an IP address", p.HostIP, p.Target)
		}
		m.HostIP = ip
	}
	if p.Published == "" {
		return m, nil
	}
	first, last, err := portRange(p.Published)
	if err != nil {
		return m, fmt.Errorf("ports: published %w", err)
	}
	m.HostPort = first
	if last > first {
		m.HostPortEnd = last
	}
	return m, nil
}

// exposedPorts reads "80", "80/udp" or "3000-3005/tcp".
func exposedPorts(s string) ([]string, error) {
	r, proto, ok := strings.Cut(s, "/")
	if !ok {
		proto = "tcp"
	}
	first, last, err := portRange(r)
	if err != nil {
		return nil, fmt.Errorf("expose: %w", err)
	}
	var out []string
	for p := int(first); p <= int(last); p++ {
		out = append(out, fmt.Sprintf("%d/%s", p, strings.ToLower(proto)))
	}
	return out, nil
}

func portRange(s string) (first, last uint16, err error) {
	a, b, isRange := strings.Cut(s, "-")
	lo, err := strconv.ParseUint(a, 10, 16)
	if err != nil {
		return 0, 0, fmt.Errorf("port %q is not a number between 0 and 65535 nor a range", s)
	}
	hi := lo
	if isRange {
		if hi, err = strconv.ParseUint(b, 10, 16); err != nil || hi < lo {
			return 0, 0, fmt.Errorf("port range %q must be FIRST-LAST with FIRST not after LAST", s)
		}
	}
	return uint16(lo), uint16(hi), nil
}

// namespaces resolves what the container shares with others.
func namespaces(spec *engine.ContainerSpec, s types.ServiceConfig, peer func(string) (*engine.Container, error)) error {
	share := func(what, mode string) (string, error) {
		if !strings.HasPrefix(mode, types.ServicePrefix) && !strings.HasPrefix(mode, types.ContainerPrefix) {
			return mode, nil
		}
		c, err := peer(mode)
		if err != nil {
			return "", fmt.Errorf("cannot share %s namespace with %s: %w", what, mode, err)
		}
		return types.ContainerPrefix + c.ID, nil
	}
	var err error
	if spec.NetworkMode, err = share("network", s.NetworkMode); err != nil {
		return err
	}
	if spec.PIDMode, err = share("PID", s.Pid); err != nil {
		return err
	}
	spec.IPCMode, err = share("IPC", s.Ipc)
	return err
}

// networks gives the container its endpoints. A network mode that is neither
// none, host nor another container's names a network.
func networks(spec *engine.ContainerSpec, p *types.Project, s types.ServiceConfig, o convertOptions) error {
	switch mode := spec.NetworkMode; {
	case mode == "none", mode == "host", strings.HasPrefix(mode, types.ContainerPrefix):
		return nil
	case mode != "":
		spec.NetworkMode = ""
		spec.Networks = []netbridge.EndpointConfig{{Network: mode, Aliases: serviceAliases(s, nil, o), Links: links(p, s)}}
		return nil
	}
	if len(s.Networks) == 0 {
		spec.NetworkMode = "none"
		return nil
	}
	if mode, err := modeOfNetworks(p, s); mode != "" || err != nil {
		spec.NetworkMode = mode
		return err
	}
	for i, key := range s.NetworksByPriority() {
		net, ok := p.Networks[key]
		if !ok {
			return fmt.Errorf("networks: %q is not declared under the top-level networks", key)
		}
		cfg := s.Networks[key]
		ep := netbridge.EndpointConfig{Network: net.Name, Aliases: serviceAliases(s, cfg, o), Links: links(p, s)}
		if i == 0 {
			ep.MAC = s.MacAddress
		}
		if cfg != nil {
			if err := endpointAddresses(&ep, key, cfg); err != nil {
				return err
			}
		}
		spec.Networks = append(spec.Networks, ep)
	}
	return nil
}

func endpointAddresses(ep *netbridge.EndpointConfig, key string, cfg *types.ServiceNetworkConfig) error {
	var err error
	if cfg.Ipv4Address != "" {
		if ep.IPv4, err = netip.ParseAddr(cfg.Ipv4Address); err != nil || !ep.IPv4.Is4() {
			return fmt.Errorf("networks.%s.ipv4_address: %q is not an IPv4 address", key, cfg.Ipv4Address)
		}
	}
	if cfg.Ipv6Address != "" {
		if ep.IPv6, err = netip.ParseAddr(cfg.Ipv6Address); err != nil || !ep.IPv6.Is6() {
			return fmt.Errorf("networks.%s.ipv6_address: %q is not an IPv6 address", key, cfg.Ipv6Address)
		}
	}
	if cfg.MacAddress != "" {
		ep.MAC = cfg.MacAddress
	}
	for _, text := range cfg.LinkLocalIPs {
		a, err := netip.ParseAddr(text)
		if err != nil || !a.IsLinkLocalUnicast() {
			return fmt.Errorf("networks.%s.link_local_ips: %q is not a link-local address, as 169.254.1.2 and fe80::2 are", key, text)
		}
		ep.LinkLocal = append(ep.LinkLocal, a)
	}
	ep.Priority = cfg.GatewayPriority
	ep.Options = maps.Clone(cfg.DriverOpts)
	if cfg.InterfaceName != "" {
		if ep.Options == nil {
			ep.Options = map[string]string{}
		}
		ep.Options[interfaceNameOption] = cfg.InterfaceName
	}
	return nil
}

// interfaceNameOption is the driver option that interface_name stands for.
const interfaceNameOption = "com.docker.network.endpoint.ifname"

// modeOfNetworks is the network mode that a service's networks come to, if one
// of them is the host's own network or none. Such a one stands alone.
func modeOfNetworks(p *types.Project, s types.ServiceConfig) (string, error) {
	for key := range s.Networks {
		mode := networkMode(p.Networks[key])
		if mode != "" && len(s.Networks) > 1 {
			return "", fmt.Errorf("networks.%s: a container on network %s cannot be on another one too", key, mode)
		}
		if mode != "" {
			return mode, nil
		}
	}
	return "", nil
}

// networkMode is "host" or "none" for a top-level network that stands for that
// mode: by its driver, or as Docker's network of that name.
func networkMode(n types.NetworkConfig) string {
	name := n.Driver
	if n.External {
		name = n.Name
	}
	if name == "host" || name == "none" || name == "null" {
		return strings.Replace(name, "null", "none", 1)
	}
	return ""
}

// links are the names that a service alone has for others: those of links and
// external_links, and the numbered ones that a linked service always had.
func links(p *types.Project, s types.ServiceConfig) []string {
	var out []string
	for _, link := range s.Links {
		target, alias, ok := strings.Cut(link, ":")
		if !ok {
			alias = target
		}
		linked, known := p.Services[target]
		if !known {
			continue
		}
		for n := 1; n <= linked.GetScale(); n++ {
			name := containerName(p, linked, n)
			for _, a := range []string{alias, fmt.Sprintf("%s-%d", target, n), fmt.Sprintf("%s-%s-%d", p.Name, target, n)} {
				out = append(out, name+":"+a)
			}
		}
		if alias != target { // whatever its containers' names and numbers are by then
			out = append(out, target+":"+alias)
		}
	}
	for _, link := range s.ExternalLinks {
		name, alias, ok := strings.Cut(link, ":")
		if !ok {
			alias = name
		}
		out = append(out, name+":"+alias)
	}
	return out
}

// serviceAliases are the names beside its own that a container answers to.
// The engine adds the container's name and short ID.
func serviceAliases(s types.ServiceConfig, cfg *types.ServiceNetworkConfig, o convertOptions) []string {
	if o.NoAliases {
		return nil
	}
	var out []string
	if !o.Standalone && cfg.ServiceNameAliasEnabled() {
		out = append(out, s.Name)
	}
	if cfg != nil {
		out = append(out, cfg.Aliases...)
	}
	return out
}

// networkConfig turns a top-level network into what the bridge manager is
// asked for.
func networkConfig(p *types.Project, key string, n types.NetworkConfig) (netbridge.NetworkConfig, error) {
	c := netbridge.NetworkConfig{
		Name:       n.Name,
		Driver:     n.Driver,
		Internal:   n.Internal,
		Attachable: n.Attachable,
		EnableIPv6: n.EnableIPv6 != nil && *n.EnableIPv6,
		NoIPv4:     n.EnableIPv4 != nil && !*n.EnableIPv4,
		Options:    n.DriverOpts,
		Labels:     map[string]string{},
	}
	for k, v := range n.Labels {
		c.Labels[k] = v
	}
	c.Labels[LabelNetwork] = key
	c.Labels[LabelProject] = p.Name
	c.Labels[LabelVersion] = Version
	c.Labels[LabelConfigHash] = networkHash(n)
	for _, pool := range n.Ipam.Config {
		if pool == nil {
			continue
		}
		s, err := subnet(pool)
		if err != nil {
			return c, fmt.Errorf("networks.%s.ipam: %w", key, err)
		}
		c.Subnets = append(c.Subnets, s)
	}
	return c, nil
}

func subnet(pool *types.IPAMPool) (netbridge.Subnet, error) {
	var s netbridge.Subnet
	var err error
	if s.Prefix, err = netip.ParsePrefix(pool.Subnet); err != nil {
		return s, fmt.Errorf("subnet %q is not an address range in CIDR form, as 172.28.0.0/16 is", pool.Subnet)
	}
	if pool.Gateway != "" {
		if s.Gateway, err = netip.ParseAddr(pool.Gateway); err != nil || !s.Prefix.Contains(s.Gateway) {
			return s, fmt.Errorf("gateway %q is not an address of %s", pool.Gateway, pool.Subnet)
		}
	}
	if pool.IPRange != "" {
		if s.Range, err = netip.ParsePrefix(pool.IPRange); err != nil || !s.Prefix.Overlaps(s.Range) || s.Range.Bits() < s.Prefix.Bits() {
			return s, fmt.Errorf("ip_range %q is not a part of %s", pool.IPRange, pool.Subnet)
		}
	}
	for name, a := range pool.AuxiliaryAddresses {
		addr, err := netip.ParseAddr(a)
		if err != nil || !s.Prefix.Contains(addr) {
			return s, fmt.Errorf("aux_addresses: %q is not an address of %s", a, pool.Subnet)
		}
		if s.Aux == nil {
			s.Aux = map[string]netip.Addr{}
		}
		s.Aux[name] = addr
	}
	return s, nil
}
