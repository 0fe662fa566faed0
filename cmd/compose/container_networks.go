package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/engine"
)

// fillNetworks reads --network and what is said of the first of them elsewhere.
func (f *containerFlags) fillNetworks(s *types.ServiceConfig) error {
	names := f.networks
	if len(names) == 0 {
		names = []string{engine.DefaultNetwork}
	}
	s.MacAddress, s.ExternalLinks = f.mac, f.links
	for i, text := range names {
		name, cfg, err := parseNetwork(text)
		if err != nil {
			return err
		}
		if name == "none" || name == "host" || strings.HasPrefix(name, types.ContainerPrefix) {
			if len(names) > 1 {
				return errors.New("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
			}
			s.NetworkMode = name
			break
		}
		cfg.Priority = len(names) - i
		if i == 0 {
			cfg.Aliases = append(cfg.Aliases, f.aliases...)
			cfg.LinkLocalIPs = append(cfg.LinkLocalIPs, f.linkLocalIPs...)
			if f.ip != "" {
				cfg.Ipv4Address = f.ip
			}
			if f.ip6 != "" {
				cfg.Ipv6Address = f.ip6
			}
		}
		if s.Networks == nil {
			s.Networks = map[string]*types.ServiceNetworkConfig{}
		}
		s.Networks[name] = cfg
	}
	hosts, err := types.NewHostsList(f.hosts)
	if err != nil {
		return fmt.Errorf("--add-host: %w", err)
	}
	s.ExtraHosts = hosts
	return nil
}

// parseNetwork reads a network's name, or name=NAME,alias=...,ip=...
func parseNetwork(text string) (name string, cfg *types.ServiceNetworkConfig, err error) {
	cfg = &types.ServiceNetworkConfig{}
	fields := strings.Split(text, ",")
	if len(fields) == 1 && !strings.Contains(text, "=") {
		if text == "default" {
			text = engine.DefaultNetwork
		}
		return text, cfg, nil
	}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "name":
			name = value
		case "alias":
			cfg.Aliases = append(cfg.Aliases, value)
		case "ip":
			cfg.Ipv4Address = value
		case "ip6":
			cfg.Ipv6Address = value
		case "mac-address":
			cfg.MacAddress = value
		case "link-local-ip":
			cfg.LinkLocalIPs = append(cfg.LinkLocalIPs, value)
		case "driver-opt":
			k, v, _ := strings.Cut(value, "=")
			if cfg.DriverOpts == nil {
				cfg.DriverOpts = types.Options{}
			}
			cfg.DriverOpts[k] = v
		case "gw-priority":
			if cfg.GatewayPriority, err = strconv.Atoi(value); err != nil {
				return "", nil, fmt.Errorf("--network: gw-priority %q is not a number", value)
			}
		default:
			return "", nil, fmt.Errorf("--network: invalid field %s", key)
		}
	}
	if name == "" {
		return "", nil, fmt.Errorf("--network %s: it needs a name, as name=backend is", text)
	}
	return name, cfg, nil
}
