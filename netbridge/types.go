// Package netbridge makes the networks of one host: bridges, address
// management, veth endpoints, NAT, published ports and name resolution. It
// knows neither projects nor images: it hands out networks and endpoints by
// name.
package netbridge

import (
	"net/netip"
	"os"
	"time"
)

// Network is one network as kept in <state>/networks/<name>.json.
type Network struct {
	Version    int               `json:"version"`
	ID         string            `json:"id"`     // 64 hexadecimal digits
	Name       string            `json:"name"`   // e.g. "shop_default"
	Driver     string            `json:"driver"` // "bridge" or "macvlan"
	Bridge     string            `json:"bridge"` // interface name, at most 15 bytes; with macvlan its parent's
	Internal   bool              `json:"internal,omitempty"`
	Attachable bool              `json:"attachable,omitempty"`
	EnableIPv6 bool              `json:"enable_ipv6,omitempty"`
	NoIPv4     bool              `json:"no_ipv4,omitempty"`
	Subnets    []Subnet          `json:"subnets"`
	Options    map[string]string `json:"options,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Created    time.Time         `json:"created"`
}

// Subnet is one address pool of a network.
type Subnet struct {
	Prefix  netip.Prefix          `json:"prefix"`
	Gateway netip.Addr            `json:"gateway"` // the bridge's own address
	Range   netip.Prefix          `json:"range,omitzero"`
	Aux     map[string]netip.Addr `json:"aux,omitempty"`  // reserved for others
	Auto    bool                  `json:"auto,omitempty"` // our own choice, which may change while the network is down
}

// NetworkConfig asks for a network. A zero Subnets means: pick one.
type NetworkConfig struct {
	Name       string
	Driver     string // "" and "bridge" are the same; "macvlan"
	Internal   bool
	Attachable bool
	EnableIPv6 bool
	NoIPv4     bool
	Subnets    []Subnet          // Gateway may be left out
	Options    map[string]string // Docker's names: see checkOptions
	Labels     map[string]string
}

// EndpointConfig asks for one interface of a container on one network.
type EndpointConfig struct {
	Network   string            `json:"network"`
	Aliases   []string          `json:"aliases,omitempty"`    // extra DNS names on this network
	Links     []string          `json:"links,omitempty"`      // "name:alias": names that this container alone has for others
	IPv4      netip.Addr        `json:"ipv4,omitzero"`        // fixed address, or none
	IPv6      netip.Addr        `json:"ipv6,omitzero"`        // fixed address, or none
	LinkLocal []netip.Addr      `json:"link_local,omitempty"` // further addresses, of the link only
	MAC       string            `json:"mac,omitempty"`        // fixed address, or none
	Priority  int               `json:"priority,omitempty"`   // the highest gives the default route
	Options   map[string]string `json:"options,omitempty"`    // Docker's names: see checkEndpointOptions
}

// Endpoint is an interface that exists.
type Endpoint struct {
	Network   string     `json:"network"`
	NetworkID string     `json:"network_id"`
	Interface string     `json:"interface"` // inside the container: eth0, eth1, ...
	IPv4      netip.Addr `json:"ipv4,omitzero"`
	IPv4Bits  int        `json:"ipv4_bits,omitempty"`
	IPv6      netip.Addr `json:"ipv6,omitzero"`
	IPv6Bits  int        `json:"ipv6_bits,omitempty"`
	Gateway   netip.Addr `json:"gateway,omitzero"`  // none: no way out of this network over IPv4
	Gateway6  netip.Addr `json:"gateway6,omitzero"` // likewise over IPv6
	Host      netip.Addr `json:"host,omitzero"`     // the host's address on the network, where it has one
	MAC       string     `json:"mac"`
	Aliases   []string   `json:"aliases,omitempty"`
	Links     []string   `json:"links,omitempty"`
	Direct    bool       `json:"direct,omitempty"` // a macvlan: no bridge of the host's carries it
}

// Out says that the container gets beyond the network here.
func (e *Endpoint) Out() bool { return e.Gateway.IsValid() || e.Gateway6.IsValid() }

// PortMapping publishes a container's port on the host.
type PortMapping struct {
	HostIP        netip.Addr `json:"host_ip,omitzero"`    // none: every address, IPv4 and IPv6
	HostPort      uint16     `json:"host_port,omitempty"` // first of the range; 0: a free one is chosen
	HostPortEnd   uint16     `json:"host_port_end,omitempty"`
	ContainerPort uint16     `json:"container_port"`
	Protocol      string     `json:"protocol"` // "tcp" or "udp"
}

// PublishedPort is a mapping that is in force, with the host port chosen.
type PublishedPort struct {
	HostIP        netip.Addr `json:"host_ip"` // 0.0.0.0 and :: are two entries, as Docker shows them
	HostPort      uint16     `json:"host_port"`
	ContainerPort uint16     `json:"container_port"`
	Protocol      string     `json:"protocol"`
}

// SandboxConfig asks for the network side of one container: a network
// namespace with its endpoints, published ports and resolver.
type SandboxConfig struct {
	ContainerID   string
	ContainerName string // a DNS name on each network; so is the first 12 digits of the ID
	Endpoints     []EndpointConfig
	Ports         []PortMapping
	Sysctls       map[string]string // net.* only, written inside the namespace
	Loopback      bool              // true with no endpoints: network_mode "none"

	// NewNS makes the namespace where it shall belong to a user namespace; nil:
	// one of the host's own.
	NewNS func() (*os.File, error)

	// What the resolver at 127.0.0.11 does with names it does not own.
	Upstream   []netip.AddrPort // empty: the host's
	ExtraHosts map[string][]netip.Addr
}
