package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/spf13/cobra"

	"compose/netbridge"
	"compose/orchestrator"
)

func newNetworkConnectCommand(app *App) *cobra.Command {
	var ep netbridge.EndpointConfig
	var ip, ip6 string
	var options, linkLocal []string
	cmd := &cobra.Command{
		Use:   "connect [OPTIONS] NETWORK CONTAINER",
		Short: "Put a container on one more network",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(options) > 0 {
				ep.Options = pairs(options)
			}
			for _, text := range linkLocal {
				a, err := netip.ParseAddr(text)
				if err != nil {
					return fmt.Errorf("invalid IP address: %q", text)
				}
				ep.LinkLocal = append(ep.LinkLocal, a)
			}
			for text, to := range map[*string]*netip.Addr{&ip: &ep.IPv4, &ip6: &ep.IPv6} {
				if *text == "" {
					continue
				}
				var err error
				if *to, err = netip.ParseAddr(*text); err != nil || to.Is4() != (text == &ip) {
					return fmt.Errorf("invalid IP address: %q", *text)
				}
			}
			return app.rewire(cmd.Context(), args, false, func(ctx context.Context, s *session, c *orchestrator.Container, network string) error {
				ep.Network = network
				return s.Connect(ctx, c, ep)
			})
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&ep.Aliases, "alias", nil, "One more name on the network (repeatable)")
	fl.StringVar(&ip, "ip", "", "Its IPv4 address")
	fl.StringVar(&ip6, "ip6", "", "Its IPv6 address")
	fl.IntVar(&ep.Priority, "gw-priority", 0, "The highest of a container's networks gives the default route at its next start")
	fl.StringArrayVar(&ep.Links, "link", nil, "Another container, as NAME:ALIAS, by a name that this one alone has for it (repeatable)")
	fl.StringArrayVar(&options, "driver-opt", nil, "An option of the driver for this interface (repeatable)")
	fl.StringArrayVar(&linkLocal, "link-local-ip", nil, "A link-local address more (repeatable)")
	return cmd
}

func newNetworkDisconnectCommand(app *App) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "disconnect [OPTIONS] NETWORK CONTAINER",
		Short: "Take a container off a network",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return app.rewire(cmd.Context(), args, force, func(ctx context.Context, s *session, c *orchestrator.Container, network string) error {
				return s.Disconnect(ctx, c, network)
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Also off a network that is gone by now")
	return cmd
}

// rewire finds a network and a container by what the user calls them; with
// force also a network that is gone by now.
func (app *App) rewire(ctx context.Context, args []string, force bool, do func(context.Context, *session, *orchestrator.Container, string) error) error {
	e, err := app.openEngine()
	if err != nil {
		return err
	}
	name := args[0]
	n, err := findNetwork(e, name) // among the predefined ones too
	switch {
	case err == nil:
		name = n.Name
	case !force || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	s, c, err := app.find(ctx, args[1])
	if err != nil {
		return err
	}
	defer s.close()
	return do(ctx, s, c, name)
}
