package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"compose/engine"
	"compose/netbridge"
)

func newNetworkCommand(app *App) *cobra.Command {
	return app.group(&cobra.Command{Use: "network COMMAND", Short: "Manage networks"}, func() []*cobra.Command {
		return []*cobra.Command{
			newNetworkCreateCommand(app), newNetworkLsCommand(app), newNetworkInspectCommand(app), newNetworkRmCommand(app),
			newNetworkPruneCommand(app), newNetworkConnectCommand(app), newNetworkDisconnectCommand(app),
		}
	})
}

// predefined are the networks that there always are, by Docker's names, with
// their drivers.
var predefined = map[string]string{engine.DefaultNetwork: "bridge", "host": "host", "none": "null"}

func newNetworkCreateCommand(app *App) *cobra.Command {
	var cfg netbridge.NetworkConfig
	var ipv4 bool
	var options, labels, subnets, gateways, ranges, aux []string
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] NETWORK",
		Short: "Create a network",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Name, cfg.Options, cfg.Labels, cfg.NoIPv4 = args[0], pairs(options), pairs(labels), !ipv4
			if _, ok := predefined[cfg.Name]; ok {
				return fmt.Errorf("operation is not permitted on predefined %s network", cfg.Name)
			}
			var err error
			if cfg.Subnets, err = parseSubnets(subnets, gateways, ranges, aux); err != nil {
				return err
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			n, err := e.Networks().CreateNetwork(cmd.Context(), cfg)
			if errors.Is(err, netbridge.ErrExists) {
				return fmt.Errorf("network with name %s already exists", cfg.Name)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(app.Stdout, n.ID)
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&cfg.Driver, "driver", "d", "bridge", "The driver: bridge or macvlan")
	fl.StringArrayVar(&subnets, "subnet", nil, "An address range, as 10.1.0.0/16 (repeatable)")
	fl.StringArrayVar(&gateways, "gateway", nil, "The gateway of a subnet (repeatable)")
	fl.StringArrayVar(&ranges, "ip-range", nil, "The part of a subnet that containers get addresses from (repeatable)")
	fl.StringArrayVar(&aux, "aux-address", nil, "An address that containers do not get, as NAME=IP (repeatable)")
	fl.BoolVar(&cfg.Internal, "internal", false, "No way out of the network")
	fl.BoolVar(&cfg.Attachable, "attachable", false, "Let containers be attached by hand")
	fl.BoolVar(&ipv4, "ipv4", true, "IPv4 addresses")
	fl.BoolVar(&cfg.EnableIPv6, "ipv6", false, "IPv6 addresses too")
	fl.StringArrayVarP(&options, "opt", "o", nil, "An option of the driver (repeatable)")
	fl.StringArrayVar(&labels, "label", nil, "A label, as KEY=VALUE (repeatable)")
	return cmd
}

// parseSubnets gives each gateway, range and address to the subnet it is in.
func parseSubnets(subnets, gateways, ranges, aux []string) ([]netbridge.Subnet, error) {
	var out []netbridge.Subnet
	for _, text := range subnets {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--subnet: %q is not an address range in CIDR form, as 172.28.0.0/16 is", text)
		}
		out = append(out, netbridge.Subnet{Prefix: p.Masked()})
	}
	of := func(flag, text string, a netip.Addr, err error) (*netbridge.Subnet, error) {
		if err != nil {
			return nil, fmt.Errorf("--%s: %q is not an address", flag, text)
		}
		i := slices.IndexFunc(out, func(s netbridge.Subnet) bool { return s.Prefix.Contains(a) })
		if i < 0 {
			return nil, fmt.Errorf("no matching subnet for %s %s; give one with --subnet", flag, text)
		}
		return &out[i], nil
	}
	for _, text := range gateways {
		a, err := netip.ParseAddr(text)
		s, err := of("gateway", text, a, err)
		if err != nil {
			return nil, err
		}
		s.Gateway = a
	}
	for _, text := range ranges {
		p, err := netip.ParsePrefix(text)
		s, err := of("ip-range", text, p.Addr(), err)
		if err != nil {
			return nil, err
		}
		s.Range = p
	}
	for _, word := range aux {
		name, text, _ := strings.Cut(word, "=")
		a, err := netip.ParseAddr(text)
		s, err := of("aux-address", text, a, err)
		if err != nil {
			return nil, err
		}
		if s.Aux == nil {
			s.Aux = map[string]netip.Addr{}
		}
		s.Aux[name] = a
	}
	return out, nil
}

func newNetworkRmCommand(app *App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "rm [OPTIONS] NETWORK [NETWORK...]",
		Aliases: []string{"remove"},
		Short:   "Remove networks",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			return app.removeEach(args, force, func(ref string) error { return removeNetwork(cmd.Context(), e, ref) })
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "No error for one that is not there")
	return cmd
}

func removeNetwork(ctx context.Context, e *engine.Engine, ref string) error {
	if _, ok := predefined[ref]; ok {
		return fmt.Errorf("%s is a pre-defined network and cannot be removed", ref)
	}
	n, err := findNetwork(e, ref)
	if err != nil {
		return err
	}
	return e.Networks().RemoveNetwork(ctx, n.Name)
}

// networkNotFound is what Docker says. It matches fs.ErrNotExist.
type networkNotFound struct{ ref string }

func (e networkNotFound) Error() string        { return "network " + e.ref + " not found" }
func (e networkNotFound) Is(target error) bool { return target == fs.ErrNotExist }

// findNetwork finds a network by name, ID or a unique beginning of it.
func findNetwork(e *engine.Engine, ref string) (*netbridge.Network, error) {
	list, err := allNetworks(e)
	if err != nil {
		return nil, err
	}
	var found []*netbridge.Network
	for _, n := range list {
		if n.Name == ref || n.ID == ref {
			return n, nil
		}
		if ref != "" && strings.HasPrefix(n.ID, ref) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return nil, networkNotFound{ref}
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("network %s is ambiguous (%d matches found on ID prefix)", ref, len(found))
}
