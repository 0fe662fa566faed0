package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/engine"
	"compose/netbridge"
)

// allNetworks are those that exist, and the predefined ones, by name.
func allNetworks(e *engine.Engine) ([]*netbridge.Network, error) {
	list, err := e.Networks().Networks()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(predefined)) {
		if slices.ContainsFunc(list, func(n *netbridge.Network) bool { return n.Name == name }) {
			continue
		}
		id := sha256.Sum256([]byte(e.Roots().State + " " + name))
		list = append(list, &netbridge.Network{Name: name, ID: hex.EncodeToString(id[:]), Driver: predefined[name]})
	}
	slices.SortFunc(list, func(a, b *netbridge.Network) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// networkRow is a network as `network ls` prints it.
type networkRow struct {
	CreatedAt, Driver, ID, IPv4, IPv6, Internal, Labels, Name, Scope string

	labels map[string]string
}

// Label is for templates: {{.Label "name"}}.
func (r *networkRow) Label(name string) string { return r.labels[name] }

func newNetworkLsCommand(app *App) *cobra.Command {
	var quiet, noTrunc bool
	var format string
	var words *[]string
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS]",
		Aliases: []string{"list"},
		Short:   "List networks",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseFilters(*words, "dangling", "driver", "id", "label", "name", "scope", "type")
			if err != nil {
				return err
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			list, err := allNetworks(e)
			if err != nil {
				return err
			}
			used, err := networkUsers(cmd.Context(), e)
			if err != nil {
				return err
			}
			var rows []*networkRow
			for _, n := range list {
				if !want.network(n, len(used[n.Name]) > 0) {
					continue
				}
				id := n.ID
				if !noTrunc {
					id = id[:12]
				}
				rows = append(rows, &networkRow{
					CreatedAt: n.Created.Local().String(), Driver: n.Driver, ID: id, IPv4: strconv.FormatBool(!n.NoIPv4), IPv6: strconv.FormatBool(n.EnableIPv6),
					Internal: strconv.FormatBool(n.Internal), Labels: labelList(n.Labels), Name: n.Name, Scope: "local", labels: n.Labels,
				})
			}
			if quiet {
				for _, r := range rows {
					fmt.Fprintln(app.Stdout, r.ID)
				}
				return nil
			}
			if format == "" || format == "table" {
				format = "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"
			}
			return render.Rows(app.Stdout, format, render.Columns{
				"CreatedAt": "CREATED AT", "Driver": "DRIVER", "ID": "NETWORK ID", "IPv4": "IPV4", "IPv6": "IPV6",
				"Internal": "INTERNAL", "Labels": "LABELS", "Name": "NAME", "Scope": "SCOPE",
			}, rows)
		},
	}
	words = filterFlag(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only IDs")
	cmd.Flags().BoolVar(&noTrunc, "no-trunc", false, "Do not cut IDs short")
	cmd.Flags().StringVar(&format, "format", "", `"table", "json", "table TEMPLATE" or a Go template`)
	return cmd
}

func (f filters) network(n *netbridge.Network, used bool) bool {
	_, builtin := predefined[n.Name]
	return f.labels(n.Labels) &&
		f.any("name", func(v string) bool { return matches(v, n.Name) }) &&
		f.any("id", func(v string) bool { return strings.HasPrefix(n.ID, v) }) &&
		f.any("driver", func(v string) bool { return n.Driver == v }) &&
		f.any("scope", func(v string) bool { return v == "local" }) &&
		f.any("type", func(v string) bool { return v == "builtin" && builtin || v == "custom" && !builtin }) &&
		f.any("dangling", func(v string) bool {
			dangling, err := strconv.ParseBool(v)
			return err == nil && dangling == (!used && !builtin)
		})
}

// networkUsers are the containers on each network, by the network's name.
func networkUsers(ctx context.Context, e *engine.Engine) (map[string][]*engine.Container, error) {
	list, err := e.Containers(ctx, engine.Filter{})
	if err != nil {
		return nil, err
	}
	used := map[string][]*engine.Container{}
	for _, c := range list {
		for _, n := range c.Spec.Networks {
			used[n.Network] = append(used[n.Network], c)
		}
	}
	return used, nil
}

// networkInfo is a network as `network inspect` describes it.
type networkInfo struct {
	Name       string
	ID         string `json:"Id"`
	Created    string
	Scope      string
	Driver     string
	EnableIPv4 bool
	EnableIPv6 bool
	IPAM       ipamInfo
	Internal   bool
	Attachable bool
	Ingress    bool
	Containers map[string]networkMember
	Options    map[string]string
	Labels     map[string]string
}

type ipamInfo struct {
	Driver  string
	Options map[string]string
	Config  []ipamConfig
}

type ipamConfig struct {
	Subnet             string
	IPRange            string            `json:",omitempty"`
	Gateway            string            `json:",omitempty"`
	AuxiliaryAddresses map[string]string `json:",omitempty"`
}

type networkMember struct {
	Name        string
	EndpointID  string
	MacAddress  string
	IPv4Address string
	IPv6Address string
}

func inspectNetwork(ctx context.Context, e *engine.Engine, ref string) (any, error) {
	n, err := findNetwork(e, ref)
	if err != nil {
		return nil, err
	}
	info := &networkInfo{
		Name: n.Name, ID: n.ID, Created: n.Created.Local().Format(time.RFC3339Nano), Scope: "local", Driver: n.Driver,
		EnableIPv4: !n.NoIPv4, EnableIPv6: n.EnableIPv6, IPAM: ipamInfo{Driver: "default", Config: []ipamConfig{}},
		Internal: n.Internal, Attachable: n.Attachable, Containers: map[string]networkMember{}, Options: n.Options, Labels: n.Labels,
	}
	for _, s := range n.Subnets {
		c := ipamConfig{Subnet: s.Prefix.String()}
		if s.Gateway.IsValid() {
			c.Gateway = s.Gateway.String()
		}
		if s.Range.IsValid() {
			c.IPRange = s.Range.String()
		}
		for name, a := range s.Aux {
			if c.AuxiliaryAddresses == nil {
				c.AuxiliaryAddresses = map[string]string{}
			}
			c.AuxiliaryAddresses[name] = a.String()
		}
		info.IPAM.Config = append(info.IPAM.Config, c)
	}
	used, err := networkUsers(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, c := range used[n.Name] {
		state, err := e.State(c.ID)
		if err != nil {
			continue // it is going at this moment
		}
		for _, ep := range state.Endpoints {
			if ep.NetworkID != n.ID {
				continue
			}
			m := networkMember{Name: c.Spec.Name, EndpointID: render.EndpointID(c.ID, n.ID), MacAddress: ep.MAC}
			if ep.IPv4.IsValid() {
				m.IPv4Address = fmt.Sprintf("%s/%d", ep.IPv4, ep.IPv4Bits)
			}
			if ep.IPv6.IsValid() {
				m.IPv6Address = fmt.Sprintf("%s/%d", ep.IPv6, ep.IPv6Bits)
			}
			info.Containers[c.ID] = m
		}
	}
	return info, nil
}

func newNetworkInspectCommand(app *App) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] NETWORK [NETWORK...]",
		Short: "Describe networks in full",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			return app.inspectAll(args, format, func(ref string) (any, error) { return inspectNetwork(cmd.Context(), e, ref) })
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", `"json" or a Go template`)
	cmd.Flags().BoolP("verbose", "v", false, "Accepted for compatibility: there is no more to say")
	return cmd
}

func newNetworkPruneCommand(app *App) *cobra.Command {
	var force bool
	var words []string
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove networks that no container is on",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := parseFilters(words, "label", "label!", "until")
			if err != nil {
				return err
			}
			if !force {
				fmt.Fprintln(app.Stdout, "WARNING! This will remove all custom networks not used by at least one container.")
				if ok, err := confirm(app, "Are you sure you want to continue?"); !ok || err != nil {
					return err
				}
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			removed, err := pruneNetworks(cmd.Context(), e, want)
			app.deleted("Networks", removed)
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	cmd.Flags().StringArrayVar(&words, "filter", nil, "Only some, as until=24h or label=KEY=VALUE (repeatable)")
	return cmd
}

func pruneNetworks(ctx context.Context, e *engine.Engine, want filters) (removed []string, err error) {
	list, err := e.Networks().Networks()
	if err != nil {
		return nil, err
	}
	used, err := networkUsers(ctx, e)
	if err != nil {
		return nil, err
	}
	for _, n := range list {
		old, err := want.until(n.Created)
		if err != nil {
			return removed, err
		}
		if len(used[n.Name]) > 0 || !old || !want.labels(n.Labels) {
			continue
		}
		switch err := e.Networks().RemoveNetwork(ctx, n.Name); {
		case errors.Is(err, netbridge.ErrInUse), errors.Is(err, netbridge.ErrNotFound):
		case err != nil:
			return removed, err
		default:
			removed = append(removed, n.Name)
		}
	}
	return removed, nil
}
