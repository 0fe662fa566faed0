package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"compose/orchestrator"
)

func newPortCommand(app *App) *cobra.Command {
	var protocol string
	var index int
	cmd := &cobra.Command{
		Use:   "port [OPTIONS] SERVICE PORT[/PROTOCOL]",
		Short: "Show where a container's port is published",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, proto, ok := strings.Cut(args[1], "/")
			if !ok {
				proto = protocol
			}
			port, err := strconv.ParseUint(number, 10, 16)
			if err != nil {
				return fmt.Errorf("%q is not a port number", number)
			}
			name, err := app.projectName()
			if err != nil {
				return err
			}
			s, err := app.session(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			c, err := s.Target(cmd.Context(), orchestrator.Selection{Name: name, Services: args[:1]}, index)
			if err != nil {
				return err
			}
			proto = strings.ToLower(proto)
			var others []string
			for _, p := range c.State.Ports {
				others = append(others, fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol))
				if p.ContainerPort == uint16(port) && p.Protocol == proto {
					_, err := fmt.Fprintln(app.Stdout, net.JoinHostPort(p.HostIP.String(), strconv.Itoa(int(p.HostPort))))
					return err
				}
			}
			return fmt.Errorf("no port %d/%s for container %s: %s", port, proto, c.Name(), strings.Join(others, ", "))
		},
	}
	cmd.Flags().StringVar(&protocol, "protocol", "tcp", "tcp or udp")
	cmd.Flags().IntVar(&index, "index", 0, "The number of the container, if the service has several")
	return cmd
}
