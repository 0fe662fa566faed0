package netbridge

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"compose/internal/lazy"
)

// Driver options of networks, by Docker's names.
const (
	optionMTU         = "com.docker.network.driver.mtu"
	optionPrefix      = "com.docker.network.container_iface_prefix"
	optionBridge      = "com.docker.network.bridge.name"
	optionICC         = "com.docker.network.bridge.enable_icc"           // "false": containers do not reach each other
	optionMasquerade  = "com.docker.network.bridge.enable_ip_masquerade" // "false": their own addresses leave the host
	optionBinding     = "com.docker.network.bridge.host_binding_ipv4"    // where ports are published unless they say
	optionInhibit     = "com.docker.network.bridge.inhibit_ipv4"         // "true": the bridge has no IPv4 address
	optionGateway4    = "com.docker.network.bridge.gateway_mode_ipv4"
	optionGateway6    = "com.docker.network.bridge.gateway_mode_ipv6"
	optionParent      = "parent"       // macvlan's: the interface that it shares
	optionMacvlanMode = "macvlan_mode" // "bridge", "private", "vepa" or "passthru"

	gatewayRouted   = "routed"   // no translation: published ports are open at the container's own address
	gatewayIsolated = "isolated" // the host has no address on the network
)

// Driver options of endpoints.
const (
	optionIfname  = "com.docker.network.endpoint.ifname"
	optionSysctls = "com.docker.network.endpoint.sysctls" // "net.ipv4.conf.IFNAME.log_martians=1,..."
)

// dockerOptions are names of Docker's that mean something to it and nothing
// here: to leave them without effect unsaid would mislead.
const dockerOptions = "com.docker.network."

const defaultMTU = 1500

var interfaceName = lazy.Regexp(`^[^\s/:.][^\s/:]{0,14}$`)

func (n *Network) mtu() (int, error) {
	text := n.Options[optionMTU]
	if text == "" {
		return defaultMTU, nil
	}
	mtu, err := strconv.Atoi(text)
	if err != nil || mtu < 68 || mtu > 65535 {
		return 0, fmt.Errorf("option %s: %q is no MTU between 68 and 65535", optionMTU, text)
	}
	return mtu, nil
}

// checkOptions refuses driver options that cannot be carried out.
func (n *Network) checkOptions() error {
	if _, err := n.mtu(); err != nil {
		return err
	}
	known := []string{optionMTU, optionPrefix}
	switch n.Driver {
	case "macvlan":
		known = append(known, optionParent, optionMacvlanMode)
	default:
		known = append(known, optionBridge, optionICC, optionMasquerade, optionBinding, optionInhibit, optionGateway4, optionGateway6)
	}
	for key, value := range n.Options {
		if slices.Contains(known, key) {
			if err := n.checkOption(key, value); err != nil {
				return fmt.Errorf("option %s: %w", key, err)
			}
		} else if strings.HasPrefix(key, dockerOptions) && key != dockerOptions+"bridge.default_bridge" {
			return fmt.Errorf("the driver %s has no option %s here; leave it out", n.Driver, key)
		}
	}
	return nil
}

func (n *Network) checkOption(key, value string) error {
	switch key {
	case optionBridge:
		if !interfaceName().MatchString(value) {
			return fmt.Errorf("%q is no name of an interface: at most 15 characters, no space, colon or slash", value)
		}
	case optionPrefix:
		if !interfaceName().MatchString(value) || len(value) > 12 {
			return fmt.Errorf("%q is no beginning of an interface's name: at most 12 characters, no space, colon or slash", value)
		}
	case optionICC, optionMasquerade, optionInhibit:
		if _, err := strconv.ParseBool(value); err != nil {
			return fmt.Errorf("%q is neither true nor false", value)
		}
	case optionBinding:
		if a, err := netip.ParseAddr(value); err != nil || !a.Is4() {
			return fmt.Errorf("%q is not an IPv4 address", value)
		}
	case optionGateway4, optionGateway6:
		switch {
		case value == "nat", value == gatewayRouted:
		case value == gatewayIsolated && n.Internal:
		case value == gatewayIsolated:
			return fmt.Errorf("gateway mode %q can only be used for an internal network", value)
		default:
			return fmt.Errorf("there is no gateway mode %q here; use nat, routed or, on an internal network, isolated", value)
		}
	case optionMacvlanMode:
		if !slices.Contains([]string{"bridge", "private", "vepa", "passthru"}, value) {
			return fmt.Errorf("requested macvlan mode '%s' is not valid, 'bridge' mode is the macvlan driver default", value)
		}
	case optionParent:
		if value == "lo" {
			return fmt.Errorf("loopback interface is not a valid macvlan parent link")
		}
		if value != "" && !interfaceName().MatchString(value) {
			return fmt.Errorf("%q is no name of an interface", value)
		}
	}
	return nil
}

// on reads a switch that was checked when the network was made.
func (n *Network) on(option string, otherwise bool) bool {
	if v, err := strconv.ParseBool(n.Options[option]); err == nil {
		return v
	}
	return otherwise
}

// gatewayMode is how packets of a family leave the network.
func (n *Network) gatewayMode(a netip.Addr) string {
	if a.Is4() {
		return n.Options[optionGateway4]
	}
	return n.Options[optionGateway6]
}

// hostAddress says whether the bridge has the gateway's address of a subnet.
func (n *Network) hostAddress(s *Subnet) bool {
	return n.Driver == "bridge" && n.gatewayMode(s.Gateway) != gatewayIsolated && (s.Gateway.Is6() || !n.on(optionInhibit, false))
}

// ifname is the interface's name that an endpoint asks for, or "".
func (c *EndpointConfig) ifname() string { return c.Options[optionIfname] }

// check refuses what an endpoint cannot have on any network.
func (c *EndpointConfig) check() error {
	if name := c.ifname(); name != "" && (!interfaceName().MatchString(name) || name == "lo") {
		return fmt.Errorf("%q is no name of an interface: at most 15 characters, no space, colon or slash, and not lo", name)
	}
	for key := range c.Options {
		if key != optionIfname && key != optionSysctls && strings.HasPrefix(key, dockerOptions) {
			return fmt.Errorf("there is no option %s of an endpoint here; leave it out", key)
		}
	}
	for _, a := range c.LinkLocal {
		if !a.IsLinkLocalUnicast() {
			return fmt.Errorf("invalid link-local IP address: %s", a)
		}
	}
	_, err := c.sysctls("eth0")
	return err
}

// sysctls are the kernel parameters asked for an interface, by path below
// /proc/sys.
func (c *EndpointConfig) sysctls(ifname string) (map[string]string, error) {
	text := c.Options[optionSysctls]
	if text == "" {
		return nil, nil
	}
	values := map[string]string{}
	for entry := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(entry), "=")
		parts := strings.Split(key, ".")
		if !ok || len(parts) != 5 || parts[0] != "net" || !slices.Contains([]string{"ipv4", "ipv6", "mpls"}, parts[1]) ||
			!strings.EqualFold(parts[3], "IFNAME") || strings.Contains(key, "/") || slices.Contains(parts, "") {
			return nil, fmt.Errorf("option %s: %q is not of the form net.ipv4.conf.IFNAME.parameter=value", optionSysctls, entry)
		}
		parts[3] = ifname
		values[strings.Join(parts, "/")] = value
	}
	return values, nil
}

// names are the interfaces of one container.
type names map[string]bool

// take reserves the name that an endpoint is to have: its own choice, or the
// lowest free number after the network's prefix.
func (t names) take(n *Network, c *EndpointConfig) string {
	if name := c.ifname(); name != "" {
		return name
	}
	prefix := n.Options[optionPrefix]
	if prefix == "" {
		prefix = "eth"
	}
	for i := 0; ; i++ {
		if name := prefix + strconv.Itoa(i); !t[name] {
			t[name] = true
			return name
		}
	}
}

// choose reserves the names that endpoints have chosen themselves.
func (t names) choose(endpoints ...EndpointConfig) error {
	for i := range endpoints {
		name := endpoints[i].ifname()
		if name != "" && t[name] {
			return fmt.Errorf("network %s: the container has an interface %s already; choose another interface_name", endpoints[i].Network, name)
		}
		if name != "" {
			t[name] = true
		}
	}
	return nil
}
